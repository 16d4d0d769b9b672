//! The virtual host of a request, and the listeners by which it comes there.

use crate::cli::explain::Halt;
use crate::cli::explain::OURS;
use crate::cli::explain::Question;
use crate::cli::explain::TO_HTTPS;
use crate::cli::explain::answer::Answer;
use crate::cli::explain::answer::Outcome;
use crate::cli::explain::entrance::Entrance;
use crate::config::Collector;
use crate::config::Listener;
use crate::config::PlainHttp;
use crate::config::VirtualHost;
use crate::decision::forwarded::Scheme;
use crate::decision::routing::HostTable;

impl<'a> Question<'a> {
    /// The listeners by which it may come in.
    pub(super) fn entrances(&self) -> Result<Vec<&'a Listener>, Halt> {
        let entrance = Entrance {
            config: self.config,
            scheme: self.scheme,
            port: self.args.url.port_u16(),
            public_port: match self.collector() {
                Some(collector) => collector.public_port,
                None => self.named().and_then(|host| host.public_port),
            },
        };
        let listeners = entrance.listeners();
        listeners.map_err(|(outcome, text)| Halt::At(outcome, text))
    }

    /// The collector, where the request is for its host.
    fn collector(&self) -> Option<&'a Collector> {
        let collector = self.config.collector.as_ref();
        collector.filter(|collector| collector.host == self.host)
    }

    /// The virtual host with the name that is asked for.
    fn named(&self) -> Option<&'a VirtualHost> {
        let hosts = self.config.virtual_hosts.iter();
        let hosts = hosts.flat_map(|at| at.hosts.iter().map(move |name| (name.clone(), at)));
        let hosts: HostTable<&'a VirtualHost> = hosts.collect();
        hosts.find(self.host.as_str()).copied()
    }

    /// The virtual host of the request, where it answers more than one thing.
    pub(super) fn virtual_host(
        &self,
        entrances: &[&Listener],
        answer: &mut Answer,
    ) -> Result<&'a VirtualHost, Halt> {
        if self.collector().is_some() {
            answer.virtual_host = vec!["the collector's".to_owned()];
            return Err(self.ours());
        }
        let misdirected = |text: &str| Halt::at(Outcome::Misdirected, text);
        let found = self.named();
        let found = found.ok_or_else(|| misdirected("refused: no virtual host has this name"))?;
        answer.virtual_host = found.hosts.iter().map(ToString::to_string).collect();
        let is_served = |at: &&Listener| found.listeners.contains(&at.name);
        if !found.listeners.is_empty() && !entrances.iter().any(is_served) {
            return Err(misdirected(
                "refused: the listener there does not serve this host",
            ));
        }
        match (self.scheme, found.plain_http) {
            (Scheme::Https, _) | (Scheme::Http, PlainHttp::Serve) => Ok(found),
            (Scheme::Http, PlainHttp::Redirect) => Err(Halt::at(Outcome::ToHttps, TO_HTTPS)),
            (Scheme::Http, PlainHttp::Refuse) => Err(misdirected(
                "refused: this host answers nothing by plain http",
            )),
        }
    }

    /// What one of Portway's own addresses comes to.
    pub(super) fn ours(&self) -> Halt {
        match self.scheme {
            Scheme::Http => Halt::at(Outcome::ToHttps, TO_HTTPS),
            Scheme::Https => Halt::at(Outcome::AnsweredHere, OURS),
        }
    }
}
