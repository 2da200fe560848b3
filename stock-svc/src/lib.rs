//! Catalogue, stock levels, reservations, shipments and tracking.
