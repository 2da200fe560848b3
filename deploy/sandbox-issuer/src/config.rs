use service_kit::config::{DatabaseConfig, HttpConfig, Reader, TelemetryConfig, Var, vars};

use crate::clients::Client;

pub static HTTP_ADDR: Var = Var {
    name: "HTTP_ADDR",
    what: "Where the sandbox issuer listens.",
    expected: "an address and a port",
    example: "127.0.0.1:8091",
    default: Some("127.0.0.1:8091"),
};
pub static ISSUER_URL: Var = Var {
    name: "ISSUER_URL",
    what: "The issuer's name, and where programs and services find it: their AUTH_ISSUER. http:// and HTTP_ADDR when it is not set.",
    expected: "an http or https URL without a slash at its end",
    example: "http://127.0.0.1:8091",
    default: None,
};
pub static ISSUER_AUDIENCE: Var = Var {
    name: "ISSUER_AUDIENCE",
    what: "For whom tokens are: the services' AUTH_AUDIENCE.",
    expected: "a text that is no client's id",
    example: "quadrille",
    default: Some("quadrille"),
};

#[derive(Clone, Debug)]
pub struct Config {
    pub http: HttpConfig,
    pub database: DatabaseConfig,
    /// Where it listens, when it is not set.
    pub issuer: Option<String>,
    pub audience: String,
    pub telemetry: TelemetryConfig,
}

impl Config {
    /// None if any variable is wrong; the reader has noted each that is.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let http = HttpConfig::read(reader, &HTTP_ADDR);
        let database = DatabaseConfig::read(reader);
        let telemetry = TelemetryConfig::read(reader);
        let issuer = reader.optional::<IssuerUrl>(&ISSUER_URL);
        let audience = reader.read::<String>(&ISSUER_AUDIENCE).filter(|audience| {
            // A token for a program, which says who signed in, would be one for the services.
            let is_client = Client::named(audience).is_some();
            if is_client {
                reader.refuse(&ISSUER_AUDIENCE, "it is a client's id");
            }
            !is_client
        });
        let is_sandbox = reader.optional::<u8>(&vars::SANDBOX)? == Some(1);
        let (http, issuer) = (http?, issuer?.map(|IssuerUrl(url)| url));
        if !is_sandbox && !http.addr.ip().to_canonical().is_loopback() {
            let why = "others than this machine's programs reach it there, and everybody knows its operator's password";
            reader.refuse(&HTTP_ADDR, format!("{why}; SANDBOX=1 says that this is a sandbox"));
            return None;
        }
        if issuer.is_none() && http.addr.ip().is_unspecified() {
            reader.lacks(&ISSUER_URL, "HTTP_ADDR is no address that others can use");
            return None;
        }
        Some(Self { http, database: database?, issuer, audience: audience?, telemetry: telemetry? })
    }
}

struct IssuerUrl(String);

impl std::str::FromStr for IssuerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = url::Url::parse(text).map_err(|_| "it is no URL")?;
        let is_plain = url.query().is_none() && url.fragment().is_none() && !text.ends_with('/');
        let fits = matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain;
        if fits { Ok(Self(text.to_owned())) } else { Err("it is no http or https URL, or has more than a path") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let database = [("DATABASE_URL", "postgres://issuer@127.0.0.1/sandbox_issuer")];
        let reader = Reader::from_pairs(database.iter().chain(pairs).copied());
        reader.whole(Config::read).map_err(|error| error.to_string())
    }

    const SANDBOX: (&str, &str) = ("SANDBOX", "1");

    #[test]
    fn passwords_that_everybody_knows_are_for_this_machine_or_a_sandbox() {
        let named = ("ISSUER_URL", "http://issuer.example");
        for (addr, sandbox, is_refused) in [
            ("127.0.0.1:1", "0", false),
            ("[::1]:1", "", false),
            ("0.0.0.0:1", "0", true),
            ("10.0.0.7:1", "", true),
            ("10.0.0.7:1", "1", false),
        ] {
            let read = read(&[("HTTP_ADDR", addr), ("SANDBOX", sandbox), named]);
            assert_eq!(read.is_err(), is_refused, "{addr} {sandbox}");
            assert!(
                read.map_or_else(|why| why.contains("HTTP_ADDR is refused") && why.contains("SANDBOX=1"), |_| true)
            );
        }
    }

    #[test]
    fn an_issuer_that_listens_everywhere_has_to_be_named() {
        assert_eq!(read(&[]).unwrap().issuer, None);
        let everywhere = ("HTTP_ADDR", "0.0.0.0:8091");
        let refused = read(&[everywhere, SANDBOX]).unwrap_err();
        assert!(refused.contains("ISSUER_URL is not set"), "{refused}");
        let named = read(&[everywhere, SANDBOX, ("ISSUER_URL", "http://sandbox-issuer:8091")]).unwrap();
        assert_eq!(named.issuer.as_deref(), Some("http://sandbox-issuer:8091"));
    }

    #[test]
    fn names_and_audiences_that_would_fit_nothing_or_too_much_are_refused() {
        for bad in ["issuer:8091", "http://issuer/", "ftp://issuer", "http://issuer?x", "http://issuer#x"] {
            assert!(read(&[("ISSUER_URL", bad)]).unwrap_err().contains("ISSUER_URL"), "{bad}");
        }
        assert!(read(&[("ISSUER_AUDIENCE", "shop")]).unwrap_err().contains("ISSUER_AUDIENCE is refused"));
    }
}
