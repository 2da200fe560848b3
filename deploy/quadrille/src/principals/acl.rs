//! What Kafka calls an ACL: who may do what with which resource.

use std::fmt;

/// What a right is about, by Kafka's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource(pub i8);

impl Resource {
    pub const TOPIC: Self = Self(2);
    pub const GROUP: Self = Self(3);
    pub const CLUSTER: Self = Self(4);
}

/// What somebody may do, by Kafka's number. Reading, writing and changing include describing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation(pub i8);

impl Operation {
    pub const READ: Self = Self(3);
    pub const WRITE: Self = Self(4);
    pub const DESCRIBE: Self = Self(8);
    pub const DESCRIBE_CONFIGS: Self = Self(10);

    /// As `kafka-acls.sh` takes it.
    pub fn name(self) -> String {
        const NAMES: [&str; 13] = [
            "Unknown",
            "Any",
            "All",
            "Read",
            "Write",
            "Create",
            "Delete",
            "Alter",
            "Describe",
            "ClusterAction",
            "DescribeConfigs",
            "AlterConfigs",
            "IdempotentWrite",
        ];
        let known = usize::try_from(self.0).ok().and_then(|number| NAMES.get(number));
        known.map_or_else(|| format!("operation {}", self.0), ToString::to_string)
    }
}

/// Names are taken as they are written; a name of `*` alone means all.
pub(super) const LITERAL: i8 = 3;
pub(super) const ALLOW: i8 = 3;
/// The one cluster's name.
pub(super) const CLUSTER_NAME: &str = "kafka-cluster";

/// One right of one principal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    /// `User:order-svc`
    pub principal: String,
    pub resource: Resource,
    pub name: String,
    pub operation: Operation,
    /// From where: `*` is anywhere.
    pub host: String,
    pub pattern: i8,
    pub permission: i8,
}

impl Acl {
    /// A right that is given, from anywhere.
    pub fn allow(user: &str, operation: Operation, resource: Resource, name: &str) -> Self {
        let (principal, name, host) = (format!("User:{user}"), name.to_owned(), "*".to_owned());
        Self { principal, resource, name, operation, host, pattern: LITERAL, permission: ALLOW }
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = match self.resource {
            Resource::TOPIC => "topic ",
            Resource::GROUP => "group ",
            Resource::CLUSTER => "",
            _ => "resource ",
        };
        let (denied, pattern) = (self.permission != ALLOW, self.pattern != LITERAL);
        let verb = if denied { "may not" } else { "may" };
        let begins = if pattern { "what begins with " } else { "" };
        let name = &self.name;
        write!(f, "{} {verb} {} {begins}{resource}{name} from {}", self.principal, self.operation.name(), self.host)
    }
}
