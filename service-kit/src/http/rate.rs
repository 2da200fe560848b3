//! A limit on what costs money, for each client.
//!
//! A client is an address (of IPv6 the first 64 bits, which is what one household has) and, if a token says who asks, also
//! whoever that is, from wherever they come. How many are remembered is bounded: when there are too many at once, all share
//! one limit until some of them have been quiet for long enough.

use std::future::{Ready, ready};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use ipnet::IpNet;

use super::Problem;
use crate::auth::Caller;

/// How many clients are remembered, some 100 bytes each.
const MOST: usize = 10_000;

/// How long those that were quiet are not looked for again.
const SWEEP: Duration = Duration::from_secs(1);

/// What clients may ask for in a minute unless it is said otherwise, where others reach the service.
const DEFAULT: Option<NonZeroU32> = NonZeroU32::new(600);

/// How often a client may ask for what costs money.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// So often in a minute, and so often at once; without it there is no limit.
    pub per_minute: Option<NonZeroU32>,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: Proxies,
}

impl RateLimit {
    /// What holds unless `RATE_LIMIT` is set: on loopback there is no limit.
    pub fn of(addr: SocketAddr) -> Self {
        let per_minute = if crate::config::is_loopback(addr) { None } else { DEFAULT };
        Self { per_minute, proxies: Proxies::default() }
    }
}

/// `off`, or how often in a minute.
pub(crate) struct PerMinute(pub Option<NonZeroU32>);

impl FromStr for PerMinute {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self(None)),
            _ => text.parse().map(|number| Self(Some(number))).map_err(|_| "neither off nor a whole number above 0"),
        }
    }
}

/// The proxies through which clients come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Arc<[IpNet]>);

impl Proxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request comes from; unknown only without a connection, as in tests.
    pub fn client_of(&self, request: &HttpRequest) -> Option<IpAddr> {
        let forwarded = request.headers().get_all("x-forwarded-for");
        let forwarded: Vec<_> = forwarded.map(|value| value.to_str().unwrap_or_default()).collect();
        request.peer_addr().map(|peer| self.client(peer.ip(), &forwarded.join(",")))
    }

    /// The client of a request that came from `peer`: the last address of `X-Forwarded-For` that is no proxy's. What
    /// stands before it, anybody may have written.
    fn client(&self, peer: IpAddr, forwarded: &str) -> IpAddr {
        let mut client = peer.to_canonical();
        for address in forwarded.rsplit(',') {
            if !self.trusts(client) {
                break;
            }
            let Ok(next) = address.trim().parse::<IpAddr>() else { break };
            client = next.to_canonical();
        }
        client
    }
}

impl FromStr for Proxies {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let network = |text: &str| text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let networks: Result<Vec<_>, _> = text.split(',').map(|part| network(part.trim())).collect();
        networks.map(|networks| Self(networks.into())).map_err(|_| "a part of it is no address or network")
    }
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Client {
    Network(IpAddr),
    /// Whom a token names, by a hash, since a name may be long.
    Subject(u64),
    /// Those for whom there is no room.
    Others,
}

impl Client {
    fn of(address: IpAddr) -> Self {
        Self::Network(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
            address => address,
        })
    }
}

type Buckets<C> = RateLimiter<Client, HashMapStateStore<Client>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// What each client has asked for lately.
pub(super) struct Rates<C: Clock = DefaultClock> {
    buckets: Buckets<C>,
    proxies: Proxies,
    subjects: RandomState,
    swept: Mutex<Option<C::Instant>>,
}

impl Rates {
    /// None where there is no limit.
    pub(super) fn new(limit: &RateLimit) -> Option<Self> {
        limit.per_minute.map(|per_minute| Self::with(per_minute, limit.proxies.clone(), DefaultClock::default()))
    }
}

impl<C: Clock> Rates<C> {
    fn with(per_minute: NonZeroU32, proxies: Proxies, clock: C) -> Self {
        let buckets = RateLimiter::new(Quota::per_minute(per_minute), HashMapStateStore::default(), clock);
        Self { buckets, proxies, subjects: RandomState::new(), swept: Mutex::new(None) }
    }

    /// Counts a request from this address, and of whom a token names.
    fn count(&self, address: IpAddr, subject: Option<&str>) -> Result<(), Problem> {
        self.check(Client::of(address))?;
        subject.map_or(Ok(()), |subject| self.check(Client::Subject(self.subjects.hash_one(subject))))
    }

    fn check(&self, client: Client) -> Result<(), Problem> {
        let client = if self.has_room() { client } else { Client::Others };
        self.buckets.check_key(&client).map_err(|until| {
            let wait = until.wait_time_from(self.buckets.clock().now()).as_secs();
            Problem::too_many_requests(u32::try_from(wait).unwrap_or(u32::MAX).saturating_add(1))
        })
    }

    fn has_room(&self) -> bool {
        if self.buckets.len() < MOST {
            return true;
        }
        let now = self.buckets.clock().now();
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.is_none_or(|swept| now.duration_since(swept) >= Nanos::from(SWEEP)) {
            self.buckets.retain_recent();
            *swept = Some(now);
        }
        self.buckets.len() < MOST
    }
}

/// Counts a request for what costs money. The answer is 429, with `Retry-After`, to a client that asks too often. It comes
/// first among a handler's arguments, so that what is refused later counts too.
pub struct RateLimited;

impl FromRequest for RateLimited {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let rates = request.app_data::<Arc<Rates>>();
        let known = rates.and_then(|rates| Some((rates, rates.proxies.client_of(request)?)));
        let checked = known.map_or(Ok(()), |(rates, address)| {
            let caller = request.extensions().get::<Caller>().cloned();
            rates.count(address, caller.as_ref().and_then(Caller::sub))
        });
        ready(checked.map(|()| Self).map_err(|problem| problem.at(request)))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rates(per_minute: u32) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Rates::with(NonZeroU32::new(per_minute).unwrap(), Proxies::default(), clock.clone()), clock)
    }

    fn asks(rates: &Rates<FakeRelativeClock>, address: &str) -> bool {
        rates.check(Client::of(address.parse().unwrap())).is_ok()
    }

    #[test]
    fn a_client_may_ask_so_often_at_once_and_then_as_the_minute_passes() {
        let (rates, clock) = rates(6);
        for _ in 0..6 {
            assert!(asks(&rates, "10.0.0.1"));
        }
        assert!(!asks(&rates, "10.0.0.1") && asks(&rates, "10.0.0.2"));
        clock.advance(Duration::from_secs(10));
        assert!(asks(&rates, "10.0.0.1") && !asks(&rates, "10.0.0.1"));
    }

    #[test]
    fn whoever_a_token_names_is_one_client_wherever_they_come_from() {
        let (rates, _) = rates(2);
        let asks = |address: &str, subject| rates.count(address.parse().unwrap(), Some(subject)).is_ok();
        assert!(asks("10.0.0.1", "c-ann") && asks("10.0.0.2", "c-ann") && !asks("10.0.0.3", "c-ann"));
        assert!(asks("10.0.0.3", "c-ben"), "somebody else at that address");
    }

    #[test]
    fn the_addresses_of_one_household_are_one_client() {
        let (rates, _) = rates(1);
        assert!(
            asks(&rates, "2001:db8:1:2::1") && !asks(&rates, "2001:db8:1:2:3::4") && asks(&rates, "2001:db8:1:3::1")
        );
        assert!(asks(&rates, "10.0.0.1") && !asks(&rates, "::ffff:10.0.0.1"));
    }

    #[test]
    fn no_more_clients_are_remembered_than_there_is_room_for_and_room_comes_back() {
        let (rates, clock) = rates(1);
        for number in 0..2 * u32::try_from(MOST).unwrap() {
            asks(&rates, &std::net::Ipv4Addr::from_bits(number).to_string());
            assert!(rates.buckets.len() <= MOST + 1);
        }
        assert!(!asks(&rates, "10.0.0.1"), "there is room for one more");
        clock.advance(Duration::from_secs(180));
        assert!(asks(&rates, "10.0.0.1") && rates.buckets.len() < 10, "{}", rates.buckets.len());
    }

    #[test]
    fn behind_proxies_the_client_is_the_last_address_that_is_not_one_of_theirs() {
        let proxies: Proxies = "10.0.0.0/8, 192.168.1.1,fd00::/8".parse().unwrap();
        for (peer, forwarded, client) in [
            ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
            ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "1.2.3.4, 198.51.100.7, 192.168.1.1", "198.51.100.7"),
            ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("fd00::1", "10.1.1.1", "10.1.1.1"),
        ] {
            let client: IpAddr = client.parse().unwrap();
            assert_eq!(proxies.client(peer.parse().unwrap(), forwarded), client, "{peer} {forwarded}");
        }
        for bad in ["10.0.0.0/33", "proxy.example", "10.0.0.1,", ""] {
            assert!(bad.parse::<Proxies>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_limit_is_a_number_a_minute_or_off() {
        assert_eq!("120".parse::<PerMinute>().unwrap().0, NonZeroU32::new(120));
        assert_eq!("off".parse::<PerMinute>().unwrap().0, None);
        for bad in ["0", "-1", "many", "99999999999"] {
            assert!(bad.parse::<PerMinute>().is_err(), "{bad}");
        }
    }
}
