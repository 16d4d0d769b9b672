//! The two data centres of the demonstration with the network between them.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::bail;

use crate::crypto::key_ring::KeyRing;
use crate::decision::adoption::OnSilence;
use crate::demo::DemoArgs;
use crate::demo::apps::Apps;
use crate::demo::centre::Centre;
use crate::demo::folder::WorkFolder;
use crate::demo::link::Network;
use crate::demo::plan::CENTRE_IDS;
use crate::demo::plan::CentrePlan;
use crate::demo::ports::KeptPort;
use crate::demo::site::Site;

/// Two data centres, running.
#[derive(Debug)]
pub(super) struct Room<'f> {
    /// The first data centre.
    pub(super) a: Centre,
    /// The second.
    pub(super) b: Centre,
    /// What lies between them.
    pub(super) network: Network,
    folder: &'f WorkFolder,
    places: [Places; 2],
}

/// Where a data centre is found. The ports are kept, since its gateway comes and goes.
#[derive(Debug)]
struct Places {
    https: KeptPort,
    http: KeptPort,
    back_channel: KeptPort,
    /// Where the way to the other one begins.
    way_to_peer: SocketAddr,
}

impl Places {
    fn site(&self) -> Site {
        Site {
            https: self.https.address.port(),
            http: self.http.address.port(),
        }
    }
}

impl<'f> Room<'f> {
    /// Writes the files, starts the applications and then both gateways.
    pub(super) async fn open(args: &DemoArgs, folder: &'f WorkFolder) -> anyhow::Result<Self> {
        let network = Network::whole();
        let places = choose_places(args, &network)?;
        folder.write_shared()?;
        let [first, second] = places.each_ref().map(Places::site);
        let apps = |site, from| {
            Apps::bind(site, from).context("the sample applications could not be bound")
        };
        let (a, b) = (apps(first, 1)?, apps(second, 4)?);
        let plans = plans(&places, [&a, &b], OnSilence::Continue);
        let files = [
            folder.write_centre(&plans[0])?,
            folder.write_centre(&plans[1])?,
        ];
        let [a_files, b_files] = files;
        let room = Self {
            a: Centre::new("A", first, a, a_files, &args.log),
            b: Centre::new("B", second, b, b_files, &args.log),
            network,
            folder,
            places,
        };
        for centre in [&room.a, &room.b] {
            centre.apps.start_all()?;
            centre.start().await?;
        }
        Ok(room)
    }

    /// Stops both gateways in order.
    pub(super) fn close(&self) -> anyhow::Result<()> {
        let stopped = self.a.stop();
        self.b.stop().and(stopped)
    }

    /// Starts the second gateway again, with another policy for sessions whose holder gives no answer.
    pub(super) async fn restart_b(&self, on_silence: OnSilence) -> anyhow::Result<()> {
        self.b.stop()?;
        let apps = [self.a.apps.as_ref(), self.b.apps.as_ref()];
        let [_, plan] = plans(&self.places, apps, on_silence);
        self.folder.write_centre(&plan)?;
        self.b.start().await
    }

    /// The certificate that both show, as PEM.
    pub(super) fn ca_pem(&self) -> anyhow::Result<Vec<u8>> {
        self.folder.ca_pem()
    }

    /// Where that certificate is.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder.ca_file()
    }

    /// The folder of the demonstration.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The keys that both open cookies with.
    pub(super) fn keys(&self) -> anyhow::Result<KeyRing> {
        self.folder.keys()
    }
}

fn plans<'a>(
    places: &[Places; 2],
    apps: [&'a Apps; 2],
    on_silence: OnSilence,
) -> [CentrePlan<'a>; 2] {
    let [first, second] = CENTRE_IDS;
    let plan = |id, peer, places: &Places, apps| CentrePlan {
        id,
        peer,
        site: places.site(),
        apps,
        back_channel: places.back_channel.address.port(),
        way_to_peer: places.way_to_peer,
        on_silence,
    };
    let ([a, b], [a_apps, b_apps]) = (places, apps);
    [
        plan(first, second, a, a_apps),
        plan(second, first, b, b_apps),
    ]
}

/// The ports of all listeners. The configurations must name them, because redirects carry them.
fn choose_places(args: &DemoArgs, network: &Network) -> anyhow::Result<[Places; 2]> {
    let (a, b) = (keep_port(0)?, keep_port(0)?);
    let (way_to_a, way_to_b) = (network.way(a.address)?, network.way(b.address)?);
    let places = |next: u16, back_channel, way_to_peer| {
        let keep = |port: u16| match port {
            0 => keep_port(0),
            port => keep_port(port.saturating_add(next)),
        };
        anyhow::Ok(Places {
            https: keep(args.port)?,
            http: keep(args.plain_port)?,
            back_channel,
            way_to_peer,
        })
    };
    Ok([places(0, a, way_to_b)?, places(1, b, way_to_a)?])
}

fn keep_port(wanted: u16) -> anyhow::Result<KeptPort> {
    match KeptPort::keep(wanted) {
        Ok(port) => Ok(port),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            bail!("port {wanted} is taken; others can be given with --port and --plain-port")
        }
        Err(error) => Err(error).with_context(|| format!("port {wanted} cannot be used")),
    }
}
