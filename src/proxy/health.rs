//! Asks upstreams regularly whether they are well.
//!
//! What an answer means for a member is `decision::upstream`'s; these loops run until they are dropped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::config::HealthCheck;
use crate::config::Probe;
use crate::decision::upstream::Answer;
use crate::proxy::member::MemberRuntime;
use crate::proxy::pool::PoolRuntime;

/// The checks of the members of an upstream, which come and go.
pub struct Checks {
    pool: Arc<PoolRuntime>,
    tls: Option<TlsConnector>,
    running: BTreeMap<SocketAddr, AbortHandle>,
    /// They end with it.
    tasks: JoinSet<()>,
}

impl Checks {
    /// Checks nobody yet.
    #[must_use]
    pub fn new(pool: Arc<PoolRuntime>, tls: Option<TlsConnector>) -> Self {
        Self {
            pool,
            tls,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Checks these members from now on, and no others; does nothing in a pool without checks.
    pub fn cover(&mut self, members: &[Arc<MemberRuntime>]) {
        let pool = &self.pool.config;
        // Asking in plain where TLS is spoken would take every member out.
        let can_ask = self.tls.is_some() || pool.tls.is_none();
        let Some(check) = pool.health_check.as_ref().filter(|_| can_ask) else {
            return;
        };
        self.running.retain(|address, task| {
            let stays = members.iter().any(|member| member.address == *address);
            if !stays {
                task.abort();
            }
            stays
        });
        for member in members {
            if !self.running.contains_key(&member.address) {
                let (pool, member) = (Arc::clone(&self.pool), Arc::clone(member));
                let address = member.address;
                let checking = self::check(pool, member, check.clone(), self.tls.clone());
                let task = self.tasks.spawn(checking);
                self.running.insert(address, task);
            }
        }
    }

    /// Waits until a check has ended by itself, by a fault of its own.
    pub async fn broken(&mut self) {
        loop {
            match self.tasks.join_next().await {
                Some(Err(error)) if error.is_cancelled() => {}
                Some(_) => return,
                None => std::future::pending().await,
            }
        }
    }
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks")
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

/// Checks one member for as long as it runs.
async fn check(
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
        let asked = ask(
            member.address,
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
