//! The configuration of a data centre of the demonstration, as an operator would write it.

use std::net::SocketAddr;

use crate::decision::adoption::OnSilence;
use crate::demo::apps::Apps;
use crate::demo::apps::Kind;
use crate::demo::apps::Tier;
use crate::demo::site::APP;
use crate::demo::site::DOMAIN;
use crate::demo::site::LOGIN;
use crate::demo::site::OTHER;
use crate::demo::site::Site;

/// What the configuration of a data centre depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct CentrePlan<'a> {
    /// Its cluster id.
    pub(super) id: &'a str,
    /// The other one's.
    pub(super) peer: &'a str,
    /// Where it listens.
    pub(super) site: Site,
    /// Its sample applications.
    pub(super) apps: &'a Apps,
    /// The port of its back-channel.
    pub(super) back_channel: u16,
    /// Where the way to the other one begins.
    pub(super) way_to_peer: SocketAddr,
    /// What it does about a session whose holder gives no answer.
    pub(super) on_silence: OnSilence,
}

/// The cluster ids of the two data centres.
pub(super) const CENTRE_IDS: [&str; 2] = ["a", "b"];
/// The file with the password that the two share.
pub(super) const PASSWORD_FILE: &str = "peer.password";

/// Writes the configuration.
pub(super) fn configuration(plan: &CentrePlan<'_>) -> String {
    let Site { https, http } = plan.site;
    let CentrePlan {
        id,
        peer,
        back_channel,
        way_to_peer,
        ..
    } = plan;
    let go_on = plan.on_silence == OnSilence::Continue;
    let pools: String = [Kind::Admin, Kind::Clock, Kind::Echo]
        .map(|kind| pool(kind, plan.apps))
        .concat();
    format!(
        "# Written by `portway demo` at each start; change a copy.
cluster_id: {id}
state_dir: state

listeners:
  - name: https
    bind: 127.0.0.1:{https}
    tls:
      certificates:
        - certificate_file: ../certificate.pem
          key_file: ../key.pem
  - name: http
    bind: 127.0.0.1:{http}

collector:
  host: {LOGIN}
  title: Portway demonstration, data centre {shown}

authentication:
  users_file: ../users.yaml

# A session has one holder at a time: the data centre that serves the user.
mdc:
  adoption:
    anchor_session: true
    continue_on_sync_failure: {go_on}
  gito_domain: {DOMAIN}
  back_channel:
    bind: 127.0.0.1:{back_channel}
    security: open
  peers:
    - cluster_id: {peer}
      primary: ['{way_to_peer}']
      password_file: ../{PASSWORD_FILE}

policies:
  everyone:
    - allow: signed_in
  admins:
    - allow: {{group: admins}}

# Each pool has two primaries and one secondary, which joins when no primary is well.
pools:
{pools}
virtual_hosts:
  - host: {APP}
    routes:
      - {{path: /public, access: unprotected, pool: echo}}
      - {{path: /clock, access: protected, policy: everyone, pool: clock}}
      - {{path: /admin, access: protected, policy: admins, pool: admin}}
      - {{path: /, access: protected, policy: everyone, pool: echo}}
  - host: {OTHER}
    routes:
      - {{path: /, access: protected, policy: everyone, pool: echo}}
",
        shown = id.to_uppercase(),
    )
}

fn pool(kind: Kind, apps: &Apps) -> String {
    format!(
        "  {}:\n    primary: [{}]\n    secondary: [{}]\n    max_fails: 1\n    \
         fail_timeout: 2s\n    health_check:\n      interval: 1s\n      timeout: 500ms\n      \
         http: {{path: /health}}\n",
        kind.name(),
        apps.addresses(kind, Tier::Primary).join(", "),
        apps.addresses(kind, Tier::Secondary).join(", "),
    )
}
