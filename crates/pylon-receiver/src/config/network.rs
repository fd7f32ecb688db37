//! Networks of addresses, and the addresses that Pylon sends from.

use super::table::Wrong;
use super::value::{Value, array, quote, read_array, read_text, value};
use crate::text::quoted;
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use toml::de::DeValue;

/// The addresses that Pylon publishes for workspaces in the US, as read in 2026-11.
///
/// Source: Pylon's public help pages; see `docs/explanation/pylon.md`.
const PYLON_US: [Ipv4Addr; 6] = [
    Ipv4Addr::new(13, 56, 120, 80),
    Ipv4Addr::new(13, 52, 31, 65),
    Ipv4Addr::new(16, 146, 217, 176),
    Ipv4Addr::new(52, 37, 21, 171),
    Ipv4Addr::new(54, 203, 91, 47),
    Ipv4Addr::new(54, 69, 118, 15),
];

/// The same for workspaces in the EU.
const PYLON_EU: [Ipv4Addr; 3] =
    [Ipv4Addr::new(3, 122, 74, 28), Ipv4Addr::new(35, 158, 56, 176), Ipv4Addr::new(63, 176, 205, 110)];

/// A network of addresses, such as `10.0.0.0/8`; one address alone is the network that has only this address.
///
/// An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) is the IPv4 address.
///
/// ```
/// use pylon_receiver::config::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse()?) && network.contains("::ffff:10.1.2.3".parse()?));
/// assert!("10.0.0.1/8".parse::<Network>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    fn is_everything(&self) -> bool {
        self.0.prefix_len() == 0
    }
}

impl FromStr for Network {
    type Err = String;

    /// # Errors
    /// What was expected and what was found.
    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "an address or a network such as `10.0.0.0/8`";
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address.to_canonical()),
            Err(_) => text.parse().map_err(|_| format!("expected {EXPECTED}, found {}", quoted(text)))?,
        };
        let meant = network.trunc();
        if meant != network {
            return Err(format!("expected {EXPECTED}, found {}; did you mean `{meant}`?", quoted(text)));
        }
        // The IPv4 addresses are the last 32 bits of one network of IPv6.
        let mapped = (network.prefix_len() >= 96).then(|| network.addr().to_canonical());
        Ok(Self(match mapped {
            Some(address @ IpAddr::V4(_)) if network.addr().is_ipv6() => {
                IpNet::new(address, network.prefix_len() - 96).expect("a prefix of 96 to 128 leaves 0 to 32")
            }
            _ => network,
        }))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

/// Where requests may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The addresses that Pylon publishes for workspaces in the US.
    PylonUs,
    /// The addresses that Pylon publishes for workspaces in the EU.
    PylonEu,
    /// A network of your own choice.
    Network(Network),
}

impl Source {
    /// Whether the address is one of the source's.
    pub fn contains(&self, address: IpAddr) -> bool {
        let is_one_of = |published: &[Ipv4Addr]| published.iter().any(|&one| address.to_canonical() == one);
        match self {
            Self::PylonUs => is_one_of(&PYLON_US),
            Self::PylonEu => is_one_of(&PYLON_EU),
            Self::Network(network) => network.contains(address),
        }
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "us" => Ok(Self::PylonUs),
            "eu" => Ok(Self::PylonEu),
            _ => text.parse().map(Self::Network).map_err(|fault| format!("{fault}; `us` and `eu` are Pylon's own")),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PylonUs => f.write_str("us"),
            Self::PylonEu => f.write_str("eu"),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// Where requests may come from.
pub(super) const SOURCES: Value<Vec<Source>> =
    value("list of addresses", |value| read_array(WHAT, value, read::<Source>), |sources| Some(show(sources)));

/// Proxies, by their networks.
pub(super) const PROXIES: Value<Vec<Network>> =
    value("list of addresses", |value| read_array(WHAT, value, read::<Network>), |networks| Some(show(networks)))
        .checked(|networks| {
            let everything = networks.iter().find(|network| network.is_everything())?;
            let found = format!("found every address, `{everything}`; anybody could pretend to be another client");
            Some(format!("expected the addresses of your proxies, {found}"))
        });

const WHAT: &str = "an array of addresses and networks";

fn read<T: FromStr<Err = String>>(value: DeValue<'_>) -> Result<T, Wrong> {
    Ok(read_text(value)?.parse()?)
}

fn show(values: &[impl fmt::Display]) -> String {
    array(values.iter().map(|value| quote(&value.to_string())))
}
