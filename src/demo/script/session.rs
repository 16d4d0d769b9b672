//! The steps that begin and end a session.

use std::time::Duration;

use anyhow::Context;
use anyhow::ensure;
use futures_util::StreamExt;
use jiff::Timestamp;

use crate::demo::client::Answer;
use crate::demo::folder::password_of;
use crate::demo::form::Form;
use crate::demo::script::DEEP_LINK;
use crate::demo::script::Script;
use crate::demo::site::APP;
use crate::demo::site::LOGIN;
use crate::ports::clock::Clock;
use crate::system::SystemClock;

impl Script<'_> {
    pub(super) async fn plain_http(&mut self) -> anyhow::Result<String> {
        let answer = self.alice.get(&self.site.http_url(APP, DEEP_LINK)).await?;
        let next = answer.leads_to()?.context(answer.brief())?.url();
        ensure!(
            next == self.deep_link_url(),
            "{} leads to {next}",
            answer.brief()
        );
        ensure!(
            self.alice.jar.named("portway").is_empty(),
            "a cookie was set over plain http"
        );
        Ok(format!("{} → {next}", answer.brief()))
    }

    pub(super) async fn deep_link(&mut self) -> anyhow::Result<String> {
        let first = self.alice.get(&self.deep_link_url()).await?;
        ensure!(first.status.is_redirection(), "{}", first.brief());
        let (login, way) = self.alice.follow(first).await?;
        ensure!(login.address.host == LOGIN, "{way}");
        ensure!(
            login.form_with("password").is_some(),
            "no login form at the end of {way}"
        );
        self.login = Some(login);
        Ok(way)
    }

    pub(super) async fn wrong_password(&mut self) -> anyhow::Result<String> {
        let answer = self.give_password("alice", "not the password").await?;
        ensure!(!answer.status.is_redirection(), "{}", answer.brief());
        ensure!(
            answer.form_with("password").is_some(),
            "no second try at {}",
            answer.brief()
        );
        let cookies = self.alice.jar.named("-id-");
        ensure!(cookies.is_empty(), "a refused sign-in left {cookies:?}");
        let seen = format!("{}, the form again, no session cookie", answer.brief());
        self.login = Some(answer);
        Ok(seen)
    }

    pub(super) async fn right_password(&mut self) -> anyhow::Result<String> {
        let answer = self.give_password("alice", &password_of("alice")).await?;
        let (page, way) = self.alice.follow(answer).await?;
        ensure!(page.status.is_success(), "{way}");
        ensure!(page.address.url() == self.deep_link_url(), "{way}");
        ensure!(
            page.body.contains("alice"),
            "the page at the end of {way} does not know alice"
        );
        Ok(format!("{way}, query kept"))
    }

    pub(super) async fn logout(&mut self) -> anyhow::Result<String> {
        self.old_cookies = self.alice.jar.clone();
        let page = self.alice.get(&self.deep_link_url()).await?;
        let mut forms = Form::all(&page.body).into_iter();
        let form = forms.find(|form| form.action == "/.portway/logout");
        let form = form.with_context(|| format!("no sign-out form in {}", page.brief()))?;
        self.signed_out = i64::try_from(SystemClock.now().as_millis())?;
        let answer = self.alice.submit(&page, &form, &[]).await?;
        let (end, way) = self.alice.follow(answer).await?;
        ensure!(end.status.is_success(), "{way}");
        let left = [
            self.alice.jar.named("-authn-"),
            self.alice.jar.named("-id-"),
        ]
        .concat();
        ensure!(left.is_empty(), "{way}, and still there: {left:?}");
        Ok(way)
    }

    pub(super) async fn socket_closed(&mut self) -> anyhow::Result<String> {
        let mut socket = self.socket.take().context("there is no WebSocket")?;
        let mut last = None;
        let closed = async {
            while let Some(Ok(message)) = socket.next().await {
                let text = message.into_text().unwrap_or_default();
                last = text.parse::<Timestamp>().ok().or(last);
            }
        };
        tokio::time::timeout(Duration::from_secs(1), closed)
            .await
            .context("it was still open a second later")?;
        // A stream that had died before would have been closed for another reason.
        let last = last.context("it had not ticked for long")?;
        let silent = self.signed_out.saturating_sub(last.as_millisecond());
        ensure!(
            silent < TICKS_APART_MAX,
            "it had been silent for {silent} ms"
        );
        Ok(format!("the last tick was {last}"))
    }

    pub(super) async fn old_cookies_refused(&mut self) -> anyhow::Result<String> {
        let mut thief = self.alice.clone();
        thief.jar = self.old_cookies.clone();
        let first = thief.get(&self.deep_link_url()).await?;
        ensure!(first.status.is_redirection(), "{}", first.brief());
        let (login, way) = thief.follow(first).await?;
        ensure!(
            login.address.host == LOGIN && login.form_with("password").is_some(),
            "{way}"
        );
        Ok(way)
    }

    async fn give_password(&mut self, user: &str, password: &str) -> anyhow::Result<Answer> {
        let login = self.login.take().context("there is no login page")?;
        let form = login
            .form_with("password")
            .context("there is no login form")?;
        let values = [("username", user), ("password", password)];
        self.alice.submit(&login, &form, &values).await
    }
}

/// Between two ticks, in milliseconds, on a machine that is busy otherwise.
const TICKS_APART_MAX: i64 = 3000;
