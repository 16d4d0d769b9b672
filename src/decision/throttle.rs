//! How often credentials may be guessed: counted for each account over all its spellings and all ways in,
//! and for each client address, before anything is hashed (ASVS 6.3.1, NIST SP 800-63B-4 §3.2.2).
//!
//! Waits double and have an upper bound, and what was counted is forgotten bit by bit, so nobody is locked
//! out for good, and an office behind one address is not kept waiting by the typos of a day; a browser that
//! has signed in to the account before is counted on its own, so nobody else keeps its user waiting. Whether an account exists
//! is of no interest here, and so cannot show. What is counted is kept in `table`, which does not grow.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

use crate::crypto::claims::DeviceCookie;
use crate::crypto::tags::UserTag;
use crate::decision::throttle::table::Entry;
use crate::decision::throttle::table::Memory;
use crate::decision::throttle::table::Place;
use crate::decision::throttle::table::Table;
use crate::model::id::DeviceId;
use crate::model::network::Network;
use crate::model::time::Timestamp;

pub mod table;

/// How often, and how long then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrottleRules {
    /// Attempts on one account, or by one device, that need not wait.
    pub per_account: u16,
    /// Attempts from one address that need not wait.
    pub per_address: u16,
    /// The wait after those; each further attempt doubles it.
    pub first_wait: Duration,
    /// The wait never gets longer than this.
    pub longest_wait: Duration,
    /// As many attempts as need not wait are forgotten in this time, one after the other, and all of them so
    /// long after the last one. What waits because of its address waits no longer than one of them lasts.
    pub forget_after: Duration,
    /// Where addresses are not counted: many users share them.
    pub except: Vec<IpNet>,
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
            except: Vec::new(),
            remembered: 1 << 16,
        }
    }
}

impl ThrottleRules {
    /// How many attempts of a kind need not wait.
    const fn free(&self, counter: Counter) -> u16 {
        match counter {
            Counter::Account | Counter::Device => self.per_account,
            Counter::Address => self.per_address,
        }
    }

    /// How long attempts of a kind are remembered.
    fn memory(&self, counter: Counter) -> Memory {
        Memory {
            each: self.forget_after / u32::from(self.free(counter)).max(1),
            all: self.forget_after,
        }
    }

    /// The longest wait for an attempt of a kind. Who tries many accounts from one address meets the counter of
    /// each; the others there wait for a place, not for the one who took it.
    fn longest_wait(&self, counter: Counter) -> Duration {
        match counter {
            Counter::Account | Counter::Device => self.longest_wait,
            Counter::Address => self.longest_wait.min(self.memory(counter).each),
        }
    }

    fn counts_address(&self, address: IpAddr) -> bool {
        !self.except.iter().any(|range| range.contains(&address))
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

/// What was counted, for the process that follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleCounts {
    seed: [u8; 16],
    remembered: usize,
    accounts: Vec<(usize, Entry)>,
    addresses: Vec<(usize, Entry)>,
    devices: Vec<(usize, Entry)>,
}

impl Throttle {
    /// Begins with nothing counted. The seed is secret and random.
    #[must_use]
    pub fn new(rules: ThrottleRules, seed: [u8; 16]) -> Self {
        let table = |counter| Table::new(rules.remembered, rules.memory(counter));
        Self {
            accounts: table(Counter::Account),
            addresses: table(Counter::Address),
            devices: table(Counter::Device),
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
        for counter in [Counter::Account, Counter::Address, Counter::Device] {
            self.table(counter).remember(rules.memory(counter));
        }
        self.rules = rules;
    }

    /// What is counted. Its seed is secret.
    #[must_use]
    pub fn counted(&self) -> ThrottleCounts {
        ThrottleCounts {
            seed: self.seed,
            remembered: self.rules.remembered,
            accounts: self.accounts.counts(),
            addresses: self.addresses.counts(),
            devices: self.devices.counts(),
        }
    }

    /// Goes on with what another process has counted, unless another number is to be remembered.
    pub fn take_over(&mut self, counted: &ThrottleCounts) {
        if counted.remembered != self.rules.remembered {
            return;
        }
        self.seed = counted.seed;
        self.accounts.take_over(&counted.accounts);
        self.addresses.take_over(&counted.addresses);
        self.devices.take_over(&counted.devices);
    }

    /// Counts an attempt, or says how long it has to wait. An attempt that waits is not counted: whoever
    /// waits patiently is not kept waiting by one who does not.
    pub fn attempt(&mut self, attempt: &Attempt, now: Timestamp) -> Verdict {
        let counters = self.counters(attempt);
        for (counter, place) in counters.into_iter().flatten() {
            let counted = self.table(counter).find(place, now);
            let wait = counted.map_or(Duration::ZERO, |entry| self.wait(counter, &entry, now));
            if !wait.is_zero() {
                return Verdict::Wait { by: counter, wait };
            }
        }
        for (counter, place) in counters.into_iter().flatten() {
            self.table(counter).count(place, now);
        }
        Verdict::Go
    }

    /// Takes back one attempt: it was right, or could not be judged. What was counted before stays: or else
    /// whoever guesses would begin anew whenever the user signs in.
    pub fn take_back(&mut self, attempt: &Attempt) {
        for (counter, place) in self.counters(attempt).into_iter().flatten() {
            self.table(counter).take_back(place);
        }
    }

    /// The counters that an attempt falls under, the one that is dearer to be full first.
    fn counters(&self, attempt: &Attempt) -> [Option<(Counter, Place)>; 2] {
        let account = attempt.account.as_bytes();
        if let Some(device) = attempt.device {
            let place = self.place(&[b"device", device.as_bytes(), account]);
            return [Some((Counter::Device, place)), None];
        }
        let counts_address = self.rules.counts_address(attempt.address);
        let address = counts_address.then(|| {
            let network = Network::of(attempt.address).to_string();
            let place = self.place(&[b"address", network.as_bytes()]);
            (Counter::Address, place)
        });
        let account = self.place(&[b"account", account]);
        [address, Some((Counter::Account, account))]
    }

    fn place(&self, parts: &[&[u8]]) -> Place {
        Place::of(&self.seed, parts)
    }

    fn wait(&self, counter: Counter, entry: &Entry, now: Timestamp) -> Duration {
        let rules = &self.rules;
        let Some(beyond) = entry.attempts.checked_sub(rules.free(counter)) else {
            return Duration::ZERO;
        };
        let doubled = 1_u32.checked_shl(beyond.into()).unwrap_or(u32::MAX);
        let whole = rules.first_wait.saturating_mul(doubled);
        whole
            .min(rules.longest_wait(counter))
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
