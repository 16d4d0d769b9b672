//! `portway demo --script`: the journey of a user, walked by a program that looks closely.
//!
//! Each step says what was seen. The first that differs from what it should be ends the journey with
//! an error; what the pages look like is not judged.

use std::io;
use std::io::Write;
use std::sync::Arc;

use crate::demo::apps::Apps;
use crate::demo::client::Answer;
use crate::demo::client::Client;
use crate::demo::client::Socket;
use crate::demo::jar::Jar;
use crate::demo::room::Room;
use crate::demo::site::APP;
use crate::demo::site::Site;

mod applications;
mod centres;
mod seen;
mod session;

/// The journey, with what one step leaves for the next.
pub(super) struct Script<'a> {
    room: &'a Room<'a>,
    /// The first data centre, as most of the journey sees it.
    site: Site,
    apps: &'a Arc<Apps>,
    alice: Client,
    carol: Client,
    /// The login page, once the journey has come to it.
    login: Option<Answer>,
    socket: Option<Socket>,
    /// Alice's cookies as they were before she signed out.
    old_cookies: Jar,
    /// When she did, in milliseconds since the Unix epoch.
    signed_out: i64,
}

impl<'a> Script<'a> {
    /// Walks the whole journey and prints it.
    pub(super) async fn walk(room: &'a Room<'a>) -> anyhow::Result<()> {
        let client = Client::new(&room.ca_pem()?)?;
        let mut script = Self {
            room,
            site: room.a.site,
            apps: &room.a.apps,
            alice: client.clone(),
            carol: client,
            login: None,
            socket: None,
            old_cookies: Jar::default(),
            signed_out: 0,
        };
        let mut report = Report {
            steps: 0,
            out: io::stdout(),
        };
        script.sign_in(&mut report).await?;
        script.use_applications(&mut report).await?;
        script.lose_upstreams(&mut report).await?;
        script.sign_out(&mut report).await?;
        script.change_centres(&mut report).await?;
        script.lose_a_centre(&mut report).await?;
        script.sign_out_everywhere(&mut report).await?;
        report.end()
    }

    async fn sign_in(&mut self, report: &mut Report) -> anyhow::Result<()> {
        report.step("plain http leads to https", self.plain_http().await)?;
        report.step("a public page needs no session", self.public_page().await)?;
        report.step(
            "a deep link without a session leads to sign-in",
            self.deep_link().await,
        )?;
        report.step("a wrong password is refused", self.wrong_password().await)?;
        report.step(
            "the right one leads back to the deep link",
            self.right_password().await,
        )
    }

    async fn use_applications(&mut self, report: &mut Report) -> anyhow::Result<()> {
        report.step(
            "the application is told who it is, and nothing else",
            self.identity().await,
        )?;
        report.step(
            "a second application needs no second sign-in",
            self.single_sign_on().await,
        )?;
        report.step("a WebSocket ticks", self.websocket().await)?;
        report.step(
            "the administration is forbidden for alice",
            self.forbidden().await,
        )?;
        report.step("it is open for carol", self.permitted().await)?;
        report.step(
            "a script without a session gets 401, not a redirect",
            self.fetch().await,
        )
    }

    async fn lose_upstreams(&mut self, report: &mut Report) -> anyhow::Result<()> {
        report.step(
            "one primary dies, requests go on",
            self.one_primary_dies().await,
        )?;
        report.step(
            "all primaries die, the secondary serves",
            self.all_primaries_die().await,
        )?;
        report.step(
            "primaries come back, requests return",
            self.primaries_return().await,
        )
    }

    async fn sign_out(&mut self, report: &mut Report) -> anyhow::Result<()> {
        report.step("signing out takes every cookie along", self.logout().await)?;
        report.step(
            "the WebSocket is closed within a second",
            self.socket_closed().await,
        )?;
        report.step(
            "the old cookies are refused",
            self.old_cookies_refused().await,
        )
    }

    async fn change_centres(&mut self, report: &mut Report) -> anyhow::Result<()> {
        report.step("alice signs in at A", self.sign_in_at_a().await)?;
        report.step("B serves her without a sign-in", self.adopted_by_b().await)?;
        report.step(
            "lifetime and idle time are what they were",
            self.lifetime_kept().await,
        )?;
        report.step("A takes the session back", self.back_at_a().await)
    }

    async fn lose_a_centre(&mut self, report: &mut Report) -> anyhow::Result<()> {
        report.step(
            "A is cut off: B serves on, as continue_on_sync_failure says",
            self.served_on_at_b().await,
        )?;
        report.step(
            "A is back and lets B keep the session",
            self.a_is_back().await,
        )?;
        report.step(
            "A is cut off: without continue_on_sync_failure B asks for a sign-in",
            self.challenged_at_b().await,
        )?;
        report.step(
            "A is back: B serves without one",
            self.served_again_at_b().await,
        )
    }

    async fn sign_out_everywhere(&mut self, report: &mut Report) -> anyhow::Result<()> {
        report.step("signing out at B ends it in both", self.logout_at_b().await)?;
        report.step(
            "copied cookies are refused at A and at B",
            self.copies_refused().await,
        )?;
        report.step(
            "alice signs out at B while A is cut off",
            self.logout_unheard().await,
        )?;
        report.step(
            "A is back: copied cookies are refused at A and at B",
            self.copies_refused_after_all().await,
        )
    }

    fn deep_link_url(&self) -> String {
        self.site.https_url(APP, DEEP_LINK)
    }
}

/// Prints the steps as they are done.
struct Report {
    steps: usize,
    out: io::Stdout,
}

impl Report {
    fn step(&mut self, what: &str, seen: anyhow::Result<String>) -> anyhow::Result<()> {
        self.steps = self.steps.saturating_add(1);
        let number = self.steps;
        match seen {
            Ok(seen) => writeln!(self.out, "ok {number} {what}: {seen}")?,
            Err(error) => {
                writeln!(self.out, "not ok {number} {what}: {error:#}")?;
                return Err(error.context(format!("step {number} of the journey: {what}")));
            }
        }
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "1..{}", self.steps)?)
    }
}

const DEEP_LINK: &str = "/some/deep/link?with=query&and=more";
