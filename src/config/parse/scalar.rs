//! Typed values: durations, sizes, numbers, switches, words of a closed list, names, addresses.
//!
//! Each reader reports what is wrong and then has no value.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use http::Method;
use ipnet::IpNet;

use crate::config::parse::FILE_BYTES_MAX;
use crate::config::parse::nearest::nearest;
use crate::config::parse::quantity;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::problem::Problem;
use crate::config::problem::ReadFileError;
use crate::config::problem::advice::Advice;
use crate::model::identity::AuthLevel;
use crate::model::name::NameError;

impl Reading<'_> {
    pub(super) fn duration(&mut self, found: &Found<'_>) -> Option<Duration> {
        let text = self.text(found)?;
        quantity::duration(&text)
            .map_err(|error| self.fault(found, quantity_problem(&text, "duration", error)))
            .ok()
    }

    /// A duration that was once written as a bare number of milliseconds.
    pub(super) fn brief_duration(&mut self, found: &Found<'_>) -> Option<Duration> {
        let text = self.text(found)?;
        quantity::brief_duration(&text)
            .map_err(|error| self.fault(found, quantity_problem(&text, "duration", error)))
            .ok()
    }

    /// A duration that may be nothing.
    pub(super) fn duration_or_zero(&mut self, found: &Found<'_>) -> Option<Duration> {
        let text = self.text(found)?;
        match quantity::duration(&text) {
            Ok(span) => Some(span),
            Err(quantity::QuantityError::Zero) => Some(Duration::ZERO),
            Err(error) => {
                self.fault(found, quantity_problem(&text, "duration", error));
                None
            }
        }
    }

    pub(super) fn size(&mut self, found: &Found<'_>) -> Option<u64> {
        let text = self.text(found)?;
        quantity::size(&text)
            .map_err(|error| self.fault(found, quantity_problem(&text, "size", error)))
            .ok()
    }

    /// A size within bounds; `shown` says which, and gives an example.
    pub(super) fn size_within(
        &mut self,
        found: &Found<'_>,
        bounds: RangeInclusive<u64>,
        (what, example): (&'static str, &'static str),
    ) -> Option<u64> {
        let bytes = self.size(found)?;
        if bounds.contains(&bytes) {
            return Some(bytes);
        }
        let text = self.text(found)?;
        let problem = Problem::Address {
            text,
            what,
            example,
        };
        self.fault(found, problem);
        None
    }

    pub(super) fn number<T>(&mut self, found: &Found<'_>, range: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + TryFrom<u64> + Into<u64>,
    {
        let text = self.text(found)?;
        let (min, max): (u64, u64) = ((*range.start()).into(), (*range.end()).into());
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text
            .parse()
            .ok()
            .filter(|number| digits && (min..=max).contains(number));
        let value = number.and_then(|number| T::try_from(number).ok());
        if value.is_none() {
            self.fault(
                found,
                Problem::Number {
                    text: short(&text),
                    min,
                    max,
                },
            );
        }
        value
    }

    /// A number that counts things in memory.
    pub(super) fn count(&mut self, found: &Found<'_>, range: RangeInclusive<u32>) -> Option<usize> {
        self.number(found, range)
            .and_then(|number| usize::try_from(number).ok())
    }

    pub(super) fn switch(&mut self, found: &Found<'_>) -> Option<bool> {
        match self.text(found)?.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            text => {
                self.fault(found, Problem::Boolean(short(text)));
                None
            }
        }
    }

    pub(super) fn word<T: Clone>(
        &mut self,
        found: &Found<'_>,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(found)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(value.clone());
        }
        let allowed: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
        self.fault(found, word_problem(&text, allowed));
        None
    }

    /// A name of its own type; `what` says which kind.
    pub(super) fn name<T>(
        &mut self,
        found: &Found<'_>,
        what: &'static str,
        parse: impl FnOnce(&str) -> Result<T, NameError>,
    ) -> Option<T> {
        let text = self.text(found)?;
        parse(&text)
            .map_err(|error| self.fault(found, name_problem(&text, what, error)))
            .ok()
    }

    /// A text of some other form, made by `make`; `what` and `example` say which.
    pub(super) fn shaped<T>(
        &mut self,
        found: &Found<'_>,
        (what, example): (&'static str, &'static str),
        make: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(found)?;
        let value = make(&text);
        if value.is_none() {
            self.fault(
                found,
                Problem::Address {
                    text: short(&text),
                    what,
                    example,
                },
            );
        }
        value
    }

    pub(super) fn socket_address(&mut self, found: &Found<'_>) -> Option<SocketAddr> {
        self.shaped(found, ("an address with a port", "0.0.0.0:443"), |text| {
            text.parse().ok()
        })
    }

    pub(super) fn network(&mut self, found: &Found<'_>) -> Option<IpNet> {
        let written = self.shaped(found, ("an address or a network", "10.0.0.0/8"), |text| {
            let alone = text.parse::<IpAddr>().ok().map(IpNet::from);
            alone.or_else(|| text.parse::<IpNet>().ok())
        })?;
        let network = written.trunc();
        if network != written {
            self.advise(found, Advice::HostBits(written));
        }
        Some(network)
    }

    pub(super) fn header_name(&mut self, found: &Found<'_>) -> Option<HeaderName> {
        self.shaped(found, ("the name of a header", "Remote-User"), |text| {
            HeaderName::from_bytes(text.as_bytes()).ok()
        })
    }

    pub(super) fn port(&mut self, found: &Found<'_>) -> Option<u16> {
        self.number(found, 1..=u16::MAX)
    }

    pub(super) fn level(&mut self, found: &Found<'_>, min: u8) -> Option<AuthLevel> {
        self.number(found, min..=AuthLevel::MAX.get())
            .and_then(AuthLevel::new)
    }

    pub(super) fn method(&mut self, found: &Found<'_>) -> Option<Method> {
        let text = self.text(found)?;
        let is_upper = text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        let method = Method::from_bytes(text.as_bytes()).ok();
        let method = method.filter(|method| {
            is_upper && !text.is_empty() && *method != Method::CONNECT && *method != Method::TRACE
        });
        if method.is_none() {
            self.fault(found, Problem::Method(short(&text)));
        }
        method
    }

    /// A path, relative to the folder of the configuration file.
    pub(super) fn path(&mut self, found: &Found<'_>) -> Option<PathBuf> {
        let text = self.text(found)?;
        if text.is_empty() {
            self.fault(found, Problem::NoValue);
            return None;
        }
        Some(self.surroundings.folder.join(text))
    }

    /// The bytes of a file whose path is written.
    pub(super) fn file(&mut self, found: &Found<'_>) -> Option<Vec<u8>> {
        self.file_up_to(found, FILE_BYTES_MAX)
    }

    /// The bytes of a file whose path is written, and that may have this many.
    pub(super) fn file_up_to(&mut self, found: &Found<'_>, bytes_max: u64) -> Option<Vec<u8>> {
        let written = self.text(found)?;
        let path = self.surroundings.folder.join(&written);
        (self.surroundings.read)(&path, bytes_max)
            .map_err(|error: ReadFileError| {
                self.fault(
                    found,
                    Problem::File {
                        path: PathBuf::from(&written),
                        error,
                    },
                );
            })
            .ok()
    }
}

fn quantity_problem(text: &str, what: &'static str, error: quantity::QuantityError) -> Problem {
    Problem::Quantity {
        text: short(text),
        what,
        error,
    }
}

pub(super) fn name_problem(text: &str, what: &'static str, error: NameError) -> Problem {
    let text = short(text);
    Problem::Name { text, what, error }
}

pub(super) fn word_problem(text: &str, allowed: Vec<&'static str>) -> Problem {
    let nearest = nearest(text, allowed.iter().copied()).map(str::to_owned);
    Problem::Word {
        text: short(text),
        allowed,
        nearest,
    }
}

/// A text as messages show it.
pub(super) fn short(text: &str) -> String {
    if text.chars().count() <= SHOWN_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN_MAX).collect();
    format!("{start}…")
}

const SHOWN_MAX: usize = 80;
