//! What has been found: how often each row of the table was needed, and what no row is for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::compare::Difference;
use crate::compare::Exchange;
use crate::differences;

/// What all conversations of some configurations came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) exchanges: usize,
    /// By the row's name.
    hits: BTreeMap<&'static str, usize>,
    /// What is in no row.
    new: BTreeMap<Difference, New>,
    /// Where both have let a request through, by which version.
    served: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct New {
    count: usize,
    configurations: BTreeSet<String>,
    example: String,
}

impl Tally {
    pub(crate) fn note(&mut self, exchange: &Exchange<'_>, found: Vec<Difference>) {
        self.exchanges += 1;
        let outcomes = [&exchange.nginx, &exchange.portway];
        if outcomes.iter().all(|outcome| !outcome.seen.is_empty()) {
            let (place, speaks) = (
                &exchange.conversation.door.place,
                exchange.conversation.speaks,
            );
            let way = (place, speaks, exchange.conversation.tls);
            self.served
                .insert(format!("{} {way:?}", exchange.configuration.name));
        }
        if found.is_empty() {
            return;
        }
        if let Some(row) = differences::whole(exchange) {
            *self.hits.entry(row).or_default() += 1;
            return;
        }
        for difference in found {
            if let Some(row) = differences::part(exchange, &difference) {
                *self.hits.entry(row).or_default() += 1;
                continue;
            }
            let new = self.new.entry(difference).or_default();
            new.count += 1;
            new.configurations
                .insert(exchange.configuration.name.clone());
            if new.example.is_empty() {
                new.example = example(exchange);
            }
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        self.served.extend(other.served);
        for (row, count) in other.hits {
            *self.hits.entry(row).or_default() += count;
        }
        for (difference, found) in other.new {
            let new = self.new.entry(difference).or_default();
            new.count += found.count;
            new.configurations.extend(found.configurations);
            new.example = found.example;
        }
    }

    pub(crate) fn summary(&self) -> String {
        let accepted: usize = self.hits.values().sum();
        format!(
            "{} requests through both; {accepted} differences in {} rows of the table, {} in none",
            self.exchanges,
            self.hits.len(),
            self.new.len()
        )
    }

    /// Fails where something differs that is in no row.
    pub(crate) fn expect_nothing_new(&self, seed: u64) {
        let shown = self.new.iter().take(SHOWN);
        let shown = shown.map(|(difference, new)| {
            let Difference {
                about,
                nginx,
                portway,
            } = difference;
            let New {
                count,
                configurations,
                example,
            } = new;
            format!(
                "{about:?}, {count} times in {configurations:?}\n  nginx:   {nginx}\n  portway: {portway}\n  {example}"
            )
        });
        let shown: Vec<String> = shown.collect();
        assert!(
            self.new.is_empty(),
            "{} differences are in no row of the table; PORTWAY_EQUIVALENCE_SEED={seed}\n{}",
            self.new.len(),
            shown.join("\n")
        );
    }

    /// Fails where one of the ways to ask has led to no upstream with either: two that refuse everything are alike.
    pub(crate) fn expect_each_way(&self) {
        let missing: Vec<&&str> = WAYS
            .iter()
            .filter(|way| !self.served.contains(**way))
            .collect();
        assert!(missing.is_empty(), "{missing:?} in {:#?}", self.served);
    }

    /// Fails where a row is there that nothing needs.
    pub(crate) fn expect_each_row(&self) {
        let stale: Vec<&str> = differences::names()
            .filter(|name| !self.hits.contains_key(name))
            .collect();
        assert!(stale.is_empty(), "nothing differs in this way: {stale:?}");
    }
}

fn example(exchange: &Exchange<'_>) -> String {
    let head = String::from_utf8(exchange.sent.head()).unwrap();
    let size = exchange.sent.body_size();
    let slow = if exchange.sent.slow { ", slowly" } else { "" };
    let statuses = [&exchange.nginx, &exchange.portway].map(|outcome| match &outcome.answer {
        Ok(answer) => answer.status.to_string(),
        Err(error) => error.clone(),
    });
    format!(
        "to {:?}, {:?}, {:?}: {head:?} and {size} bytes{slow} -> {} / {}",
        exchange.conversation.door.place,
        exchange.conversation.shows,
        exchange.conversation.tls,
        statuses[0],
        statuses[1]
    )
}

const SHOWN: usize = 400;
/// What must not be compared in vain: HTTP/2, both versions of TLS, sockets, announced clients.
const WAYS: &[&str] = &[
    "08-tls (Port(443), Http1, V12)",
    "08-tls (Port(443), Http1, V13)",
    "08-tls (Port(443), Http2, V12)",
    "08-tls (Port(443), Http2, V13)",
    "44-http2 (Port(443), Http2, V13)",
    "45-certificates-newest (Port(443), Http1, V13)",
    "45-certificates-newest (Port(443), Http2, V13)",
    "46-listen-unix (Socket(\"site.sock\"), Http1, V12)",
    "47-announced (Port(80), Http1, V12)",
    "47-announced (Port(443), Http1, V13)",
    "47-announced (Port(443), Http2, V12)",
    "47-announced (Socket(\"announced.sock\"), Http1, V12)",
];
