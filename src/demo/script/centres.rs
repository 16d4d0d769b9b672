//! The steps between two data centres: a session that moves, a data centre that is lost, an end that holds.

use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::crypto::claims::IdCookie;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::adoption::OnSilence;
use crate::demo::client::Answer;
use crate::demo::client::Client;
use crate::demo::folder::password_of;
use crate::demo::jar::Jar;
use crate::demo::script::DEEP_LINK;
use crate::demo::script::Script;
use crate::demo::site::APP;
use crate::demo::site::LOGIN;
use crate::demo::site::OTHER;
use crate::demo::site::Site;

impl Script<'_> {
    pub(super) async fn sign_in_at_a(&mut self) -> anyhow::Result<String> {
        self.alice.jar = Jar::default();
        sign_in(&mut self.alice, self.site, "alice").await
    }

    pub(super) async fn adopted_by_b(&mut self) -> anyhow::Result<String> {
        let (page, took) = self.timed(self.room.b.site).await?;
        ensure!(page.status.is_success(), "{}", page.brief());
        ensure!(page.body.contains("alice"), "the page does not know alice");
        let adoption = self.last_adoption()?;
        let questions = adoption.get("questions").and_then(Value::as_u64);
        Ok(format!(
            "{} after {} ms, {} questions over the back-channel",
            page.brief(),
            took.as_millis(),
            questions.context("the log does not say how many questions were asked")?,
        ))
    }

    /// A second application of B is reached by the login page of B, which then writes the ID cookie.
    pub(super) async fn lifetime_kept(&mut self) -> anyhow::Result<String> {
        let at_a = self.id_cookie()?;
        let url = self.room.b.site.https_url(OTHER, "/");
        let first = self.alice.get(&url).await?;
        let (page, way) = self.alice.follow(first).await?;
        ensure!(
            page.status.is_success() && page.address.host == OTHER,
            "{way}"
        );
        let at_b = self.id_cookie()?;
        let latest = &at_b.latest;
        ensure!(
            latest.cluster.as_str() == "b",
            "it names {}",
            latest.cluster
        );
        ensure!(at_b.facts.sso == at_a.facts.sso, "it is another session");
        let (theirs, ours) = (at_b.facts.expires, at_a.facts.expires);
        ensure!(theirs == ours, "it expires at {theirs}, at A it was {ours}");
        ensure!(
            at_b.facts.first_authenticated == at_a.facts.first_authenticated,
            "it has another age"
        );
        ensure!(at_b.last_access >= at_a.last_access, "its last access fell");
        Ok(format!(
            "the same session, of the same age, expires at {} as at A",
            Timestamp::from_millisecond(i64::try_from(theirs.as_millis())?)?
        ))
    }

    pub(super) async fn back_at_a(&mut self) -> anyhow::Result<String> {
        self.served_soon(self.site).await
    }

    pub(super) async fn served_on_at_b(&mut self) -> anyhow::Result<String> {
        self.room.network.cut();
        let (page, took) = self.timed(self.room.b.site).await?;
        ensure!(page.status.is_success(), "{}", page.brief());
        Ok(format!("{} after {} ms", page.brief(), took.as_millis()))
    }

    pub(super) async fn a_is_back(&mut self) -> anyhow::Result<String> {
        self.room.network.heal();
        let at_a = self.served_soon(self.site).await?;
        let at_b = self.served_soon(self.room.b.site).await?;
        Ok(format!("A: {at_a}, B: {at_b}"))
    }

    pub(super) async fn challenged_at_b(&mut self) -> anyhow::Result<String> {
        self.room.restart_b(OnSilence::Challenge).await?;
        // A session that B has never seen.
        self.sign_in_at_a().await?;
        self.room.network.cut();
        let (page, took) = self.timed(self.room.b.site).await?;
        ensure!(page.status.is_redirection(), "{}", page.brief());
        Ok(format!("{} after {} ms", page.brief(), took.as_millis()))
    }

    pub(super) async fn served_again_at_b(&mut self) -> anyhow::Result<String> {
        self.room.network.heal();
        self.served_soon(self.room.b.site).await
    }

    pub(super) async fn logout_at_b(&mut self) -> anyhow::Result<String> {
        self.old_cookies = self.alice.jar.clone();
        let page = self.logout_by_b().await?;
        ensure!(
            !page.body.contains("not confirmed"),
            "a data centre has not confirmed it"
        );
        Ok(format!("{}, confirmed by both", page.brief()))
    }

    pub(super) async fn copies_refused(&mut self) -> anyhow::Result<String> {
        let mut seen = Vec::new();
        for centre in [&self.room.a, &self.room.b] {
            let way = self.refused_at(centre.site).await?;
            seen.push(format!("{}: {way}", centre.name));
        }
        Ok(seen.join("; "))
    }

    pub(super) async fn logout_unheard(&mut self) -> anyhow::Result<String> {
        self.sign_in_at_a().await?;
        self.old_cookies = self.alice.jar.clone();
        self.room.network.cut();
        let page = self.logout_by_b().await?;
        ensure!(
            page.body.contains("not confirmed"),
            "the page does not say that A has not confirmed it"
        );
        Ok(format!("{}, A has not confirmed it", page.brief()))
    }

    pub(super) async fn copies_refused_after_all(&mut self) -> anyhow::Result<String> {
        self.room.network.heal();
        let healed = Instant::now();
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        while self.refused_at(self.site).await.is_err() {
            pause.tick().await;
            ensure!(healed.elapsed() < SOON, "A still serves them");
        }
        let after = healed.elapsed().as_millis();
        let seen = self.copies_refused().await?;
        Ok(format!("{after} ms after the network was whole. {seen}"))
    }

    /// Opens the deep link at a data centre; answers how long it took too.
    async fn timed(&mut self, site: Site) -> anyhow::Result<(Answer, Duration)> {
        let begun = Instant::now();
        let page = self.alice.get(&site.https_url(APP, DEEP_LINK)).await?;
        Ok((page, begun.elapsed()))
    }

    /// Opens the deep link until it is served without a sign-in: after a cut the data centres find each
    /// other again within a moment.
    async fn served_soon(&mut self, site: Site) -> anyhow::Result<String> {
        let begun = Instant::now();
        let mut pause = tokio::time::interval(Duration::from_millis(200));
        loop {
            pause.tick().await;
            // What a refusal leaves in the jar is a nonce; the session's cookies stay.
            let (page, _) = self.timed(site).await?;
            if page.status.is_success() {
                ensure!(page.body.contains("alice"), "the page does not know alice");
                let after = begun.elapsed().as_millis();
                return Ok(format!("{} after {after} ms", page.brief()));
            }
            if begun.elapsed() > SOON {
                bail!("{}", page.brief());
            }
        }
    }

    async fn logout_by_b(&mut self) -> anyhow::Result<Answer> {
        let url = self.room.b.site.https_url(APP, "/.portway/logout");
        let first = self.alice.get(&url).await?;
        let (page, way) = self.alice.follow(first).await?;
        ensure!(
            page.status.is_success() && page.address.host == LOGIN,
            "{way}"
        );
        Ok(page)
    }

    /// Shows the cookies copied before the sign-out; the way to the login page is the only good answer.
    async fn refused_at(&self, site: Site) -> anyhow::Result<String> {
        let mut thief = self.alice.clone();
        thief.jar = self.old_cookies.clone();
        let first = thief.get(&site.https_url(APP, DEEP_LINK)).await?;
        ensure!(first.status.is_redirection(), "{}", first.brief());
        let (login, way) = thief.follow(first).await?;
        ensure!(
            login.address.host == LOGIN && login.form_with("password").is_some(),
            "{way}"
        );
        Ok(login.brief())
    }

    /// What the ID cookie in alice's browser says.
    fn id_cookie(&self) -> anyhow::Result<IdCookie> {
        let name = "__Host-portway-id-main";
        let value = self.alice.jar.value(name, LOGIN);
        let binding = Binding {
            purpose: Purpose::IdCookie,
            name,
            scope: LOGIN,
        };
        let opened = self
            .room
            .keys()?
            .open_claims(&binding, value.context("no ID cookie")?);
        opened.context("the ID cookie does not open")
    }

    /// The last adoption that the gateway of B logged.
    fn last_adoption(&self) -> anyhow::Result<Value> {
        let log = self.room.b.log()?;
        let lines = log.lines().rev();
        let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let said = |line: &Value| line.get("message").and_then(Value::as_str) == Some(ADOPTED);
        lines.find(said).context("B has logged no adoption")
    }
}

/// Signs a user in at a data centre, by a deep link.
async fn sign_in(client: &mut Client, site: Site, user: &str) -> anyhow::Result<String> {
    let first = client.get(&site.https_url(APP, DEEP_LINK)).await?;
    let (login, way) = client.follow(first).await?;
    let form = login.form_with("password").context(way)?;
    let password = password_of(user);
    let values = [("username", user), ("password", password.as_str())];
    let answer = client.submit(&login, &form, &values).await?;
    let (page, way) = client.follow(answer).await?;
    ensure!(
        page.status.is_success() && page.body.contains(user),
        "{way}"
    );
    Ok(page.brief())
}

/// What a gateway logs of an adoption.
const ADOPTED: &str = "session adopted";
/// How long the data centres may take to find each other again.
const SOON: Duration = Duration::from_secs(20);
