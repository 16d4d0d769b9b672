//! `ops`: where health and metrics are told.

use std::net::Ipv4Addr;
use std::net::SocketAddr;

use crate::config::Bind;
use crate::config::parse::listener::Listeners;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::problem::advice::Advice;

impl Reading<'_> {
    pub(super) fn ops(
        &mut self,
        found: Option<&Found<'_>>,
        listeners: &mut Listeners,
    ) -> Option<SocketAddr> {
        let section = self.section(found?, KEYS)?;
        let Some(place) = section.get("bind") else {
            let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
            self.check_bind(&section.found, &Bind::Tcp(bind), &mut listeners.binds);
            return Some(bind);
        };
        let bind = self.listener_bind(&section, &mut listeners.binds)?;
        if !bind.ip().to_canonical().is_loopback() {
            self.advise(place, Advice::OpsExposed);
        }
        Some(bind)
    }
}

pub(super) const KEYS: &[&str] = &["bind"];
const PORT: u16 = 9090;
