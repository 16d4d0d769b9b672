//! Both programs with one configuration, before the same upstreams, and conversations with each of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::client;
use crate::client::Answer;
use crate::compare;
use crate::compare::Exchange;
use crate::compare::Outcome;
use crate::configuration::Configuration;
use crate::configuration::Place;
use crate::multiplexed;
use crate::requests;
use crate::requests::Announces;
use crate::requests::Conversation;
use crate::requests::Sent;
use crate::requests::Shows;
use crate::requests::Speaks;
use crate::requests::Tls;
use crate::support::Gateway;
use crate::support::certificates;
use crate::support::certificates::ClientAuthority;
use crate::support::certificates::Issued;
use crate::support::gateway::Setup;
use crate::support::nginx;
use crate::support::nginx::Door;
use crate::tally::Tally;
use crate::upstream::Upstreams;

/// Both programs, running.
pub(crate) struct Rig {
    configuration: Configuration,
    upstreams: Upstreams,
    nginx: nginx::Process,
    gateway: Gateway,
    /// By the port that is written: nginx's.
    ports: BTreeMap<u16, u16>,
    clients: Clients,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Nginx,
    Portway,
}

/// A connection of a client.
enum Line {
    Multiplexed(multiplexed::Line),
    Single(client::Line),
}

impl Line {
    fn ask(&mut self, sent: &Sent) -> Result<Answer, String> {
        match self {
            Self::Multiplexed(line) => line.ask(sent),
            Self::Single(line) => line.ask(sent),
        }
    }
}

struct Clients {
    good: Issued,
    strange: Issued,
    revoked: Issued,
}

impl Rig {
    pub(crate) async fn start(configuration: Configuration) -> Self {
        let upstreams = Upstreams::start(&configuration.upstreams);
        let mut setup = Setup::new();
        let placed = configuration.placed(&upstreams.places, &setup.path(""));
        let authority = ClientAuthority::new("Clients");
        let clients = Clients {
            good: authority.issue("Ärmel, \"A\" + b", 0x1234_abcd, 4000),
            strange: ClientAuthority::new("Strangers").issue("stranger", 2, 4000),
            revoked: authority.issue("revoked", 3, 4000),
        };
        setup = setup
            .file("site.conf", &placed.for_portway)
            .file("nginx-site.conf", &placed.for_nginx)
            .file("clients.pem", &authority.pem)
            .file("clients.crl", &authority.revoking(&[3], 4000));
        for (name, text) in &placed.included {
            setup = setup.file(name, text);
        }
        let yaml = converted(&configuration, &setup.path("site.conf"));
        let ports = placed.ports.values();
        let doors: Vec<Door> = ports
            .map(|port| Door::At(SocketAddr::from(([127, 0, 0, 1], *port))))
            .collect();
        let nginx = nginx::serving(&setup.path(""), "include nginx-site.conf;", &doors).await;
        let bound = placed.ports.values().fold(yaml, |yaml, port| {
            yaml.replace(&format!("\"127.0.0.1:{port}\""), "\"127.0.0.1:0\"")
        });
        for (name, value) in &placed.variables {
            setup = setup.variable(name, value);
        }
        let gateway = setup.start(&bound).await;
        for door in &configuration.doors {
            if let Place::Socket(name) = &door.place {
                gateway.wait_for_log(&format!("portway-{name}")).await;
            }
        }
        Self {
            configuration,
            upstreams,
            nginx: nginx.unwrap(),
            gateway,
            ports: placed.ports,
            clients,
        }
    }

    /// Holds all conversations with both.
    pub(crate) fn compare(self, seed: u64) -> Tally {
        let mut tally = Tally::default();
        for conversation in requests::conversations(&self.configuration, seed) {
            let nginx = self.hold(&conversation, Program::Nginx);
            let portway = self.hold(&conversation, Program::Portway);
            for ((sent, nginx), portway) in conversation.requests.iter().zip(nginx).zip(portway) {
                let exchange = Exchange {
                    configuration: &self.configuration,
                    conversation: &conversation,
                    sent,
                    nginx,
                    portway,
                };
                tally.note(&exchange, compare::differences(&exchange));
            }
        }
        drop(self.nginx);
        tally
    }

    fn hold(&self, conversation: &Conversation, program: Program) -> Vec<Outcome> {
        let mut line: Option<Line> = None;
        let mut outcomes = Vec::new();
        for sent in &conversation.requests {
            let open = match line.take() {
                Some(open) => Ok(open),
                None => self.connect(conversation, program),
            };
            let answer = open.and_then(|mut open| {
                let answer = open.ask(sent)?;
                line = answer.keeps().then_some(open);
                Ok(answer)
            });
            outcomes.push(Outcome {
                seen: self.upstreams.take(),
                answer,
                port: self
                    .address(conversation, program)
                    .map(|address| address.port()),
            });
        }
        outcomes
    }

    fn connect(&self, conversation: &Conversation, program: Program) -> Result<Line, String> {
        let address = self.address(conversation, program);
        let announced = match (conversation.announces, address) {
            (Announces::Nobody, _) => String::new(),
            (Announces::Client, to) => announced(to),
        };
        let Some(address) = address else {
            let socket = self.socket(conversation, program);
            let line = client::Line::connect_to(&socket, &announced);
            return Ok(Line::Single(line));
        };
        if !conversation.door.secure {
            let line = client::Line::connect(address, &announced, None);
            return Ok(Line::Single(line));
        }
        let shown = match conversation.shows {
            Shows::Nothing => None,
            Shows::Good => Some(&self.clients.good),
            Shows::Strange => Some(&self.clients.strange),
            Shows::Revoked => Some(&self.clients.revoked),
        };
        let terms = terms(shown, conversation);
        let name = &conversation.name;
        match conversation.speaks {
            Speaks::Http1 => {
                let line = client::Line::connect(address, &announced, Some((terms, name)));
                Ok(Line::Single(line))
            }
            Speaks::Http2 => {
                let line = multiplexed::Line::connect(address, &announced, terms, name);
                line.map(Line::Multiplexed)
            }
        }
    }

    /// Where a program is to be found, unless it is at a socket.
    fn address(&self, conversation: &Conversation, program: Program) -> Option<SocketAddr> {
        let Place::Port(written) = conversation.door.place else {
            return None;
        };
        let port = self.ports[&written];
        if program == Program::Nginx {
            return Some(SocketAddr::from(([127, 0, 0, 1], port)));
        }
        let word = if conversation.door.secure {
            "https"
        } else {
            "http"
        };
        Some(self.gateway.address(&format!("{word}-{port}")))
    }

    fn socket(&self, conversation: &Conversation, program: Program) -> PathBuf {
        let program = match program {
            Program::Nginx => "nginx",
            Program::Portway => "portway",
        };
        match &conversation.door.place {
            Place::Socket(name) => self.gateway.folder().join(format!("{program}-{name}")),
            Place::Port(port) => panic!("{port} is no socket"),
        }
    }
}

/// How a client far away is announced that has come to an address, or through a socket.
fn announced(to: Option<SocketAddr>) -> String {
    let port = to.map_or(80, |address| address.port());
    format!("PROXY TCP4 192.0.2.7 127.0.0.1 4711 {port}\r\n")
}

fn terms(shown: Option<&Issued>, conversation: &Conversation) -> Arc<ClientConfig> {
    let version = match conversation.tls {
        // The one that nginx speaks where nothing is said.
        Tls::V12 => &rustls::version::TLS12,
        Tls::V13 => &rustls::version::TLS13,
    };
    let protocol: &[u8] = match conversation.speaks {
        Speaks::Http1 => b"http/1.1",
        Speaks::Http2 => b"h2",
    };
    Arc::new(certificates::client_showing(shown, version, protocol))
}

fn converted(configuration: &Configuration, file: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portway"));
    let output = command
        .args(["convert", "nginx"])
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let lost: Vec<&str> = said
        .lines()
        .filter(|line| line.contains(": dropped"))
        .collect();
    let (name, code) = (&configuration.name, output.status.code());
    assert_eq!(code, Some(configuration.code), "{name}: {lost:#?}");
    String::from_utf8(output.stdout).unwrap()
}
