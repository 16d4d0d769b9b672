//! Asks upstreams regularly whether they are well, and keeps the addresses of their names fresh.
//!
//! What an answer means for a member is `decision::upstream`'s; these loops run until they are dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use crate::config::HealthCheck;
use crate::config::Probe;
use crate::decision::upstream::Answer;
use crate::ports::resolver::Resolver;
use crate::proxy::pool::MemberRuntime;
use crate::proxy::pool::PoolRuntime;

/// Checks one member for as long as it runs.
pub async fn check(
    pool: Arc<PoolRuntime>,
    member: Arc<MemberRuntime>,
    check: HealthCheck,
    tls: Option<TlsConnector>,
) {
    let named = pool
        .config
        .tls
        .as_ref()
        .and_then(|tls| tls.server_name.clone());
    let name = named.map_or_else(
        || member.upstream.host.clone(),
        |name| name.as_str().to_owned(),
    );
    let mut ticks = tokio::time::interval(check.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(address) = member.address() else {
            continue;
        };
        let asked = ask(
            address,
            &check.probe,
            tls.as_ref(),
            (&name, &member.authority),
        );
        let well = tokio::time::timeout(check.timeout, asked).await;
        let answer = if matches!(well, Ok(Some(()))) {
            Answer::Good
        } else {
            Answer::Bad
        };
        member.checked(answer);
    }
}

/// Resolves the name of a member for as long as it runs; a failure keeps the last addresses, and is logged
/// when it begins and when it is over. `first` is told after the first answer, whatever it is.
pub async fn resolve(
    member: Arc<MemberRuntime>,
    resolver: Arc<dyn Resolver>,
    first: oneshot::Sender<()>,
) {
    let mut first = Some(first);
    let mut naming = Naming::default();
    loop {
        let pause = match resolver.resolve(&member.upstream.host).await {
            Ok(resolved) if resolved.addresses.is_empty() => {
                if naming.fails("no address") {
                    let upstream = &member.authority;
                    tracing::warn!(upstream, "a name has no address");
                }
                RESOLVE_AGAIN_MIN
            }
            Ok(resolved) => {
                naming.works(&member);
                member.resolved_to(resolved.addresses);
                resolved
                    .valid_for
                    .clamp(RESOLVE_AGAIN_MIN, RESOLVE_AGAIN_MAX)
            }
            Err(error) => {
                if naming.fails(&error.to_string()) {
                    tracing::warn!(
                        upstream = member.authority,
                        error = &error as &dyn std::error::Error,
                        "a name was not resolved"
                    );
                }
                RESOLVE_AGAIN_MIN
            }
        };
        if let Some(first) = first.take() {
            // Nobody waits any more when the start went on without this name.
            first.send(()).ok();
        }
        tokio::time::sleep(pause).await;
    }
}

/// How the resolving of one name goes.
#[derive(Debug, Default)]
struct Naming {
    /// Why it does not work.
    fault: Option<String>,
}

impl Naming {
    /// Whether this is news.
    fn fails(&mut self, why: &str) -> bool {
        let is_news = self.fault.as_deref() != Some(why);
        if is_news {
            self.fault = Some(why.to_owned());
        }
        is_news
    }

    fn works(&mut self, member: &MemberRuntime) {
        if self.fault.take().is_some() {
            tracing::info!(upstream = member.authority, "a name is resolved again");
        }
    }
}

async fn ask(
    address: SocketAddr,
    probe: &Probe,
    tls: Option<&TlsConnector>,
    names: (&str, &str),
) -> Option<()> {
    let (server_name, authority) = names;
    let tcp = TcpStream::connect(address).await.ok()?;
    match tls {
        None => speak(tcp, probe, authority).await,
        Some(tls) => {
            let name = ServerName::try_from(server_name.to_owned()).ok()?;
            speak(tls.connect(name, tcp).await.ok()?, probe, authority).await
        }
    }
}

async fn speak<S>(stream: S, probe: &Probe, authority: &str) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Probe::Http {
        path,
        host,
        status: (lowest, highest),
    } = probe
    else {
        return Some(());
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let host = host.as_ref().map_or(authority, |host| host.as_str());
    let request = http::Request::get(path)
        .header(http::header::HOST, host)
        .header(http::header::USER_AGENT, "portway-health-check")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())
        .ok()?;
    let answered = async {
        let status = sender.send_request(request).await.ok()?.status().as_u16();
        (*lowest..=*highest).contains(&status).then_some(())
    };
    tokio::pin!(answered);
    // The end of the connection may arrive together with the answer; the answer counts.
    tokio::select! {
        answer = &mut answered => answer,
        _ = connection => answered.await,
    }
}

const RESOLVE_AGAIN_MIN: Duration = Duration::from_secs(5);
const RESOLVE_AGAIN_MAX: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_resolved_is_news_once_for_each_reason() {
        let mut naming = Naming::default();
        let told = ["refused", "refused", "no address", "no address", "refused"];
        let told = told.map(|why| naming.fails(why));
        assert_eq!(told, [true, false, true, false, true]);
    }
}
