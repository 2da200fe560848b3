//! What the services of Quadrille say to each other: events, their headers, value types and topics.
