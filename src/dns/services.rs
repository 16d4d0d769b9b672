//! Asking name servers where a service is offered: SRV records (RFC 2782), and the addresses of their hosts.

use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::proto::rr::rdata::SRV;

use super::servers::Answer;
use super::servers::AskError;
use super::servers::Servers;
use super::servers::sorted;
use crate::config::names::Families;
use crate::ports::resolver::Offered;
use crate::ports::resolver::Target;

impl Servers {
    /// Asks where a service is offered.
    ///
    /// # Errors
    /// See [`AskError`]. Silence about the addresses of one host is silence about the service: nobody knows then
    /// whether the host is gone.
    pub(super) async fn offered(
        &self,
        service: &str,
        families: Families,
    ) -> Result<Offered, AskError> {
        let asked =
            move |candidate: Name| async move { self.offered_at(candidate, families).await };
        self.first_answer(service, asked).await
    }

    async fn offered_at(&self, service: Name, families: Families) -> Result<Offered, AskError> {
        let lookup = self.client.lookup(service, RecordType::SRV).await;
        let lookup = lookup.map_err(|error| without_service(sorted(error)))?;
        let lifetime = lookup.answers().iter().map(|record| record.ttl).min();
        let mut valid_for = Duration::from_secs(lifetime.unwrap_or_default().into());
        let mut records: Vec<&SRV> = lookup
            .answers()
            .iter()
            .filter_map(|record| {
                let RData::SRV(record) = &record.data else {
                    return None;
                };
                // A root in place of a host says that there is none.
                (!record.target.is_root()).then_some(record)
            })
            .collect();
        // Of too many the same are left out each time, however the answer turns.
        records.sort_by_key(|record| (record.priority, record.target.clone(), record.port));
        records.truncate(TARGETS_MAX);
        let asked = records
            .iter()
            .map(|record| self.ask_for(&record.target, families));
        let mut targets = Vec::new();
        for (record, answer) in records.iter().zip(join_all(asked).await) {
            match answer {
                Ok(Answer {
                    unknown: Some(_), ..
                }) => return Err(AskError::Half),
                Ok(answer) => {
                    valid_for = valid_for.min(answer.valid_for);
                    targets.push(Target {
                        host: host_of(&record.target),
                        port: record.port,
                        priority: record.priority,
                        weight: record.weight,
                        addresses: answer.addresses,
                    });
                }
                Err(AskError::NoName(_) | AskError::NoAddresses(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if targets.is_empty() {
            return Err(AskError::NoService(None));
        }
        Ok(Offered { targets, valid_for })
    }
}

fn without_service(error: AskError) -> AskError {
    if let AskError::NoAddresses(holds) = error {
        return AskError::NoService(holds);
    }
    error
}

fn host_of(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.trim_end_matches('.').to_owned()
}

/// More hosts of one service are not asked for.
const TARGETS_MAX: usize = 64;
