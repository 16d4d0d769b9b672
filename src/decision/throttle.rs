//! How often credentials may be guessed: counted for each account over all its spellings and all ways in,
//! and for each client address, before anything is hashed (ASVS 6.3.1, NIST SP 800-63B-4 §3.2.2).
//!
//! Waits double and have an upper bound, so nobody is locked out for good; a browser that has signed in to
//! the account before is counted on its own, so nobody else keeps its user waiting. Whether an account exists
//! is of no interest here, and so cannot show. What is counted is kept in `table`, which does not grow.

use std::net::IpAddr;
use std::time::Duration;

use crate::crypto::claims::DeviceCookie;
use crate::crypto::tags::UserTag;
use crate::decision::throttle::table::Entry;
use crate::decision::throttle::table::Place;
use crate::decision::throttle::table::Table;
use crate::model::id::DeviceId;
use crate::model::network::Network;
use crate::model::time::Timestamp;

pub mod table;

/// How often, and how long then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleRules {
    /// Attempts on one account, or by one device, that need not wait.
    pub per_account: u16,
    /// Attempts from one address that need not wait.
    pub per_address: u16,
    /// The wait after those; each further attempt doubles it.
    pub first_wait: Duration,
    /// The wait never gets longer than this.
    pub longest_wait: Duration,
    /// What is counted is forgotten so long after the last attempt.
    pub forget_after: Duration,
    /// Accounts remembered, and addresses; the least tried go first.
    pub remembered: usize,
}

impl Default for ThrottleRules {
    fn default() -> Self {
        Self {
            per_account: 5,
            per_address: 100,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(15),
            forget_after: Duration::from_hours(1),
            remembered: 1 << 16,
        }
    }
}

/// Who attempts what.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// The account, by its tag: all spellings of it have the same.
    pub account: UserTag,
    /// Where the attempt comes from.
    pub address: IpAddr,
    /// The device that makes it, if that account has been signed in to with it before.
    pub device: Option<DeviceId>,
}

impl Attempt {
    /// An attempt on an account with whatever device cookie came with it: one of another account is none.
    #[must_use]
    pub fn new(account: UserTag, address: IpAddr, cookie: Option<&DeviceCookie>) -> Self {
        let own = cookie.filter(|cookie| cookie.account == account);
        Self {
            account,
            address,
            device: own.map(|cookie| cookie.device),
        }
    }
}

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is counted, and may be made.
    Go,
    /// It is not made, and not counted.
    Wait {
        /// What was tried too often.
        by: Counter,
        /// How long it takes until one may be made.
        wait: Duration,
    },
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Attempts on one account.
    Account,
    /// Attempts from one address.
    Address,
    /// Attempts on one account by a device that has signed in to it before.
    Device,
}

impl std::fmt::Display for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::Address => "address",
            Self::Device => "device",
        })
    }
}

/// Counts attempts.
#[derive(Debug)]
pub struct Throttle {
    rules: ThrottleRules,
    /// Keeps anybody from choosing what shares a place with what.
    seed: [u8; 16],
    accounts: Table,
    addresses: Table,
    devices: Table,
}

impl Throttle {
    /// Begins with nothing counted. The seed is secret and random.
    #[must_use]
    pub fn new(rules: ThrottleRules, seed: [u8; 16]) -> Self {
        let table = || Table::new(rules.remembered, rules.forget_after);
        Self {
            accounts: table(),
            addresses: table(),
            devices: table(),
            rules,
            seed,
        }
    }

    /// Goes by other rules from now on. What was counted stays, unless another number is to be remembered.
    pub fn retune(&mut self, rules: ThrottleRules) {
        if rules.remembered != self.rules.remembered {
            *self = Self::new(rules, self.seed);
            return;
        }
        for table in [&mut self.accounts, &mut self.addresses, &mut self.devices] {
            table.forget_after(rules.forget_after);
        }
        self.rules = rules;
    }

    /// Counts an attempt, or says how long it has to wait. An attempt that waits is not counted: whoever
    /// waits patiently is not kept waiting by one who does not.
    pub fn attempt(&mut self, attempt: &Attempt, now: Timestamp) -> Verdict {
        let counters = self.counters(attempt);
        for (counter, place, free) in counters.into_iter().flatten() {
            let counted = self.table(counter).find(place, now);
            let wait = self.wait(counted, free, now);
            if !wait.is_zero() {
                return Verdict::Wait { by: counter, wait };
            }
        }
        for (counter, place, _) in counters.into_iter().flatten() {
            self.table(counter).count(place, now);
        }
        Verdict::Go
    }

    /// Takes back one attempt: it was right, or could not be judged. What was counted before stays: or else
    /// whoever guesses would begin anew whenever the user signs in.
    pub fn take_back(&mut self, attempt: &Attempt) {
        for (counter, place, _) in self.counters(attempt).into_iter().flatten() {
            self.table(counter).take_back(place);
        }
    }

    /// The counters that an attempt falls under, the one that is dearer to be full first.
    fn counters(&self, attempt: &Attempt) -> [Option<(Counter, Place, u16)>; 2] {
        let account = attempt.account.as_bytes();
        let rules = &self.rules;
        if let Some(device) = attempt.device {
            let place = self.place(&[b"device", device.as_bytes(), account]);
            return [Some((Counter::Device, place, rules.per_account)), None];
        }
        let network = Network::of(attempt.address).to_string();
        let address = self.place(&[b"address", network.as_bytes()]);
        let account = self.place(&[b"account", account]);
        [
            Some((Counter::Address, address, rules.per_address)),
            Some((Counter::Account, account, rules.per_account)),
        ]
    }

    fn place(&self, parts: &[&[u8]]) -> Place {
        Place::of(&self.seed, parts)
    }

    fn wait(&self, entry: Option<Entry>, free: u16, now: Timestamp) -> Duration {
        let Some(entry) = entry else {
            return Duration::ZERO;
        };
        let Some(beyond) = entry.attempts.checked_sub(free) else {
            return Duration::ZERO;
        };
        let doubled = 1_u32.checked_shl(beyond.into()).unwrap_or(u32::MAX);
        let rules = &self.rules;
        let whole = rules.first_wait.saturating_mul(doubled);
        whole
            .min(rules.longest_wait)
            .saturating_sub(now.since(entry.last))
    }

    const fn table(&mut self, counter: Counter) -> &mut Table {
        match counter {
            Counter::Account => &mut self.accounts,
            Counter::Address => &mut self.addresses,
            Counter::Device => &mut self.devices,
        }
    }
}

#[cfg(test)]
mod tests;
