//! The requests of Kafka's protocol that are about ACLs. rdkafka offers them in unsafe code alone, and Kafka's own
//! `kafka-acls.sh` starts a JVM for each principal. They are few and small, in the oldest versions that Kafka 4 takes.

use anyhow::{Context, bail, ensure};

use super::acl::{Acl, Operation, Resource};

pub(super) const SASL_HANDSHAKE: (i16, i16) = (17, 1);
pub(super) const DESCRIBE_ACLS: (i16, i16) = (29, 1);
pub(super) const CREATE_ACLS: (i16, i16) = (30, 1);
pub(super) const DELETE_ACLS: (i16, i16) = (31, 1);
pub(super) const SASL_AUTHENTICATE: (i16, i16) = (36, 0);

const CLIENT_ID: &str = "quadrille";
/// Resources, patterns, operations and permissions of any kind, in filters.
const ANY: i8 = 1;

/// A request, without its length before it.
pub(super) struct Request(Vec<u8>);

impl Request {
    pub fn new((api, version): (i16, i16), correlation: i32) -> Self {
        Self(Vec::new()).i16(api).i16(version).i32(correlation).text(CLIENT_ID)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn put(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn i8(self, number: i8) -> Self {
        self.put(&number.to_be_bytes())
    }

    fn i16(self, number: i16) -> Self {
        self.put(&number.to_be_bytes())
    }

    fn i32(self, number: i32) -> Self {
        self.put(&number.to_be_bytes())
    }

    fn count(self, count: usize) -> Self {
        self.i32(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// Names are shorter than what would not fit.
    pub fn text(self, text: &str) -> Self {
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX)).put(text.as_bytes())
    }

    fn null(self) -> Self {
        self.i16(-1)
    }

    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.count(bytes.len()).put(bytes)
    }

    /// A filter that every ACL passes.
    pub fn any_acl(self) -> Self {
        self.i8(ANY).null().i8(ANY).null().null().i8(ANY).i8(ANY)
    }

    /// These ACLs: to be made, or as filters that each passes one.
    pub fn acls(self, acls: &[&Acl]) -> Self {
        acls.iter().fold(self.count(acls.len()), |request, acl| {
            let request = request.i8(acl.resource.0).text(&acl.name).i8(acl.pattern).text(&acl.principal);
            request.text(&acl.host).i8(acl.operation.0).i8(acl.permission)
        })
    }
}

/// What is left to read of an answer.
pub(super) struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    /// An answer to this request. Fails if it is another's.
    pub fn to(correlation: i32, bytes: &'a [u8]) -> anyhow::Result<Self> {
        let mut answer = Self(bytes);
        let found = answer.i32()?;
        ensure!(found == correlation, "the broker answers request {found} where {correlation} was asked");
        Ok(answer)
    }

    fn take(&mut self, count: usize) -> anyhow::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).context("the broker's answer is cut off")?;
        self.0 = rest;
        Ok(taken)
    }

    fn i8(&mut self) -> anyhow::Result<i8> {
        Ok(i8::from_be_bytes(self.take(1)?.try_into()?))
    }

    fn i16(&mut self) -> anyhow::Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn i32(&mut self) -> anyhow::Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn text(&mut self) -> anyhow::Result<Option<String>> {
        let Ok(length) = usize::try_from(self.i16()?) else { return Ok(None) };
        Ok(Some(String::from_utf8(self.take(length)?.to_vec()).context("the broker's answer is not UTF-8")?))
    }

    /// As many as there are, read one by one. An item has bytes, so a count that is too large fails soon.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
        (0..self.i32()?).map(|_| item(self)).collect()
    }

    /// For how long the broker would have liked to be asked less.
    pub fn throttle(&mut self) -> anyhow::Result<()> {
        self.i32().map(drop)
    }

    /// An error's code and text. Fails with them, if it is one.
    pub fn success(&mut self) -> anyhow::Result<()> {
        let (code, told) = (self.i16()?, self.text()?);
        refuse(code, told.as_deref().unwrap_or_default())
    }

    /// Fails if the mechanism isn't among those that the broker takes.
    pub fn handshake(&mut self) -> anyhow::Result<()> {
        let code = self.i16()?;
        let taken = self.list(Self::text)?;
        let taken = taken.into_iter().flatten().collect::<Vec<_>>().join(", ");
        refuse(code, &format!("it takes the SASL mechanisms {taken}: look at KAFKA_SASL_MECHANISM"))
    }

    /// Passes over one ACL, which the answer to a deletion repeats.
    pub fn skip_acl(&mut self) -> anyhow::Result<()> {
        self.i8()?;
        self.text()?;
        self.i8()?;
        self.text()?;
        self.text()?;
        self.take(2).map(drop)
    }

    /// The ACLs of one resource.
    pub fn acls(&mut self) -> anyhow::Result<Vec<Acl>> {
        let (resource, name, pattern) = (Resource(self.i8()?), self.text()?.unwrap_or_default(), self.i8()?);
        self.list(|answer| {
            Ok(Acl {
                principal: answer.text()?.unwrap_or_default(),
                host: answer.text()?.unwrap_or_default(),
                operation: Operation(answer.i8()?),
                permission: answer.i8()?,
                name: name.clone(),
                resource,
                pattern,
            })
        })
    }
}

/// What the codes mean that somebody can do something about.
fn refuse(code: i16, told: &str) -> anyhow::Result<()> {
    match code {
        0 => Ok(()),
        31 => bail!(
            "this principal may not change rights: only one of the broker's super.users, or who may alter the cluster ({told})"
        ),
        54 => bail!(
            "the broker has no authorizer, so that everybody may do everything: set authorizer.class.name ({told})"
        ),
        58 => bail!("{told}: look at KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        _ => bail!("the broker answers error {code}: {told}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl() -> Acl {
        Acl::allow("a", Operation::READ, Resource::TOPIC, "t1")
    }

    #[test]
    fn a_request_is_what_kafkas_protocol_says() {
        let request = Request::new(CREATE_ACLS, 7).acls(&[&acl()]).into_bytes();
        let header = [&[0, 30, 0, 1, 0, 0, 0, 7, 0, 9][..], b"quadrille"].concat();
        let body = [&[0, 0, 0, 1, 2, 0, 2][..], b"t1", &[3, 0, 6], b"User:a", &[0, 1], b"*", &[3, 3]].concat();
        assert_eq!(request, [header, body].concat());
        let any = Request::new(DESCRIBE_ACLS, 1).any_acl().into_bytes();
        assert!(any.ends_with(&[1, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff, 1, 1]), "{any:?}");
    }

    #[test]
    fn acls_are_read_as_they_were_written() {
        let bytes =
            [&[0, 0, 0, 7][..], &[2, 0, 2], b"t1", &[3, 0, 0, 0, 1, 0, 6], b"User:a", &[0, 1], b"*", &[3, 3]].concat();
        assert_eq!(Answer::to(7, &bytes).unwrap().acls().unwrap(), [acl()]);
        for cut in 4..bytes.len() {
            assert!(Answer::to(7, &bytes[..cut]).unwrap().acls().is_err(), "{cut}");
        }
        assert!(Answer::to(8, &bytes).is_err());
    }

    #[test]
    fn a_refusal_says_what_can_be_done_about_it() {
        let told = |code: u8| {
            let bytes = [&[0, 0, 0, 1, 0, code][..], &[0, 2], b"no"].concat();
            Answer::to(1, &bytes).unwrap().success().map_err(|error| error.to_string())
        };
        assert_eq!(told(0), Ok(()));
        for (code, words) in
            [(31, "super.users"), (54, "authorizer.class.name"), (58, "KAFKA_SASL_PASSWORD"), (42, "42")]
        {
            let told = told(code).unwrap_err();
            assert!(told.contains(words) && told.contains("no"), "{told}");
        }
    }
}
