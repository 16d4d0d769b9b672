//! A name server of a test's own: a real socket, answers that the test changes while it runs.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::proto::rr::rdata::SOA;
use hickory_resolver::proto::rr::rdata::SRV;
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::wait::PATIENCE;
use super::wait::until;

/// A running name server; it stops when dropped.
pub(crate) struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    answering: JoinHandle<()>,
}

#[derive(Default)]
struct Zone {
    names: BTreeMap<String, Entry>,
    services: BTreeMap<String, Vec<SRV>>,
    is_silent: bool,
    /// Whether nobody knows about addresses of IPv6 at the moment.
    is_lost_for_ipv6: bool,
    /// How often each name was asked for, by A records.
    asked: BTreeMap<String, usize>,
}

struct Entry {
    addresses: Vec<IpAddr>,
    ttl: u32,
}

impl NameServer {
    /// Starts one on a free port, with no names.
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::<Mutex<Zone>>::default();
        let answering = tokio::spawn(answer(socket, Arc::clone(&zone)));
        Self {
            address,
            zone,
            answering,
        }
    }

    /// The line of the configuration that has it asked.
    pub(crate) fn line(&self) -> String {
        format!("dns: {{ servers: [\"{}\"] }}\n", self.address)
    }

    /// Gives a name these addresses and no others.
    pub(crate) fn set(&self, name: &str, addresses: &[&str], ttl: u32) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        let entry = Entry {
            addresses: addresses.collect(),
            ttl,
        };
        self.zone.lock().names.insert(name.to_owned(), entry);
    }

    /// Has a service offered by these and no others: priority, weight, port and host, for a second.
    pub(crate) fn offer(&self, service: &str, by: &[(u16, u16, u16, &str)]) {
        let records = by.iter().map(|(priority, weight, port, host)| {
            SRV::new(*priority, *weight, *port, Name::from_ascii(host).unwrap())
        });
        let records = records.collect();
        self.zone
            .lock()
            .services
            .insert(service.to_owned(), records);
    }

    /// Knows a name no more.
    pub(crate) fn remove(&self, name: &str) {
        self.zone.lock().names.remove(name);
    }

    /// Answers nothing any more, or answers again.
    pub(crate) fn set_silent(&self, is_silent: bool) {
        self.zone.lock().is_silent = is_silent;
    }

    /// Fails to answer about addresses of IPv6, or answers again.
    pub(crate) fn set_lost_for_ipv6(&self, is_lost: bool) {
        self.zone.lock().is_lost_for_ipv6 = is_lost;
    }

    /// How often a name was asked for so far.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.zone.lock().asked.get(name).copied().unwrap_or(0)
    }

    /// Waits until a name is asked for once more from now on, and what came of it is used.
    pub(crate) async fn asked_again(&self, name: &str) {
        let before = self.asked(name);
        until("the name is asked for", PATIENCE, || async {
            // The second of two questions comes after the answer to the first was used.
            (self.asked(name) > before + 1).then_some(())
        })
        .await;
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

async fn answer(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut packet = vec![0; 4096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut packet).await else {
            return;
        };
        let Ok(question) = Message::from_vec(&packet[..length]) else {
            continue;
        };
        let answer = zone.lock().answer(question);
        if let Some(answer) = answer {
            socket.send_to(&answer, from).await.ok();
        }
    }
}

impl Zone {
    fn answer(&mut self, question: Message) -> Option<Vec<u8>> {
        let query = question.queries.first()?.clone();
        let text = query.name().to_ascii();
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        if query.query_type() == RecordType::A {
            *self.asked.entry(name.clone()).or_default() += 1;
        }
        if self.is_silent {
            return None;
        }
        let mut answer = question.into_response();
        if self.is_lost_for_ipv6 && query.query_type() == RecordType::AAAA {
            answer.metadata.response_code = ResponseCode::ServFail;
            return answer.to_vec().ok();
        }
        let entry = self.names.get(&name);
        let records = entry.into_iter().flat_map(|entry| {
            let data = entry.addresses.iter().map(|at| RData::from(*at));
            data.filter(|data| data.record_type() == query.query_type())
                .map(|data| Record::from_rdata(query.name().clone(), entry.ttl, data))
        });
        let mut records: Vec<Record> = records.collect();
        let offered = self.services.get(&name);
        if query.query_type() == RecordType::SRV {
            let all = offered.into_iter().flatten().cloned();
            let all =
                all.map(|record| Record::from_rdata(query.name().clone(), 1, RData::SRV(record)));
            records.extend(all);
        }
        if entry.is_none() && offered.is_none() {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        if records.is_empty() {
            let root = Name::root();
            let soa = SOA::new(root.clone(), root.clone(), 1, 60, 60, 60, 1);
            answer.add_authority(Record::from_rdata(root, 1, RData::SOA(soa)));
        }
        answer.add_answers(records);
        answer.to_vec().ok()
    }
}
