//! One attempt to hand over, step by step. This process goes on serving until its successor could, and as before if
//! that one fails. How a successor is started is in `starting`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Handle;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use crate::admin::SuccessorEngine;
use crate::app::engine::Engine;
use crate::app::engine::Kept;
use crate::app::engine::OwnEngine;
use crate::app::notify;
use crate::app::reopenable::Reopenable;
use crate::app::succession::letters::Channel;
use crate::app::succession::letters::FromPredecessor;
use crate::app::succession::letters::FromSuccessor;
use crate::app::succession::letters::Silence;
use crate::app::succession::memory;
use crate::app::succession::predecessor::SuccessionParts;
use crate::app::succession::starting::ended;
use crate::app::succession::stop::Stop;
use crate::decision::succession::Happened;
use crate::decision::succession::Step;
use crate::logbook::causes::with_causes;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::ports::control::UpgradeReport;

/// One attempt.
pub(super) struct Attempt<'s> {
    pub(super) parts: &'s SuccessionParts,
    pub(super) stop: &'s Stop,
    pub(super) core: &'s Handle,
    pub(super) binary: PathBuf,
    pub(super) successor: Option<(Child, Channel)>,
    pub(super) version: String,
    pub(super) process_id: u32,
    /// Held while nothing may change that the successor would not know of.
    pub(super) unchanged: Option<OwnedMutexGuard<()>>,
    /// Why it has failed, if it has.
    pub(super) failed: Option<UpgradeReport>,
}

impl Attempt<'_> {
    /// Does a step, and says what has happened then.
    pub(super) fn take(&mut self, step: Step) -> Happened {
        match step {
            Step::Start => self.or_failed(Self::start, Happened::Ready),
            Step::Close => self.close(),
            Step::Give => self.or_failed(Self::give, Happened::Able),
            Step::Leave => self.leave(),
            Step::End => self.end(),
            Step::Reopen => self.reopen(),
            Step::Resume => self.resume(),
            Step::Stop => {
                self.parts.outage.begin("the session store");
                Happened::Done
            }
        }
    }

    fn or_failed(
        &mut self,
        work: fn(&mut Self) -> Result<(), UpgradeReport>,
        then: Happened,
    ) -> Happened {
        match work(self) {
            Ok(()) => then,
            Err(failed) => {
                self.failed = Some(failed);
                Happened::Failed
            }
        }
    }

    /// Has questions about sessions wait, and lets go of the store.
    fn close(&mut self) -> Happened {
        if self.stop.is_told() {
            return self.not_closed(TOLD_TO_STOP);
        }
        let Engine::Own(own) = &self.parts.lasting.engine else {
            self.parts.duty.send_replace(false);
            return Happened::Closed;
        };
        match self.wait(loaded(own)) {
            None => return self.not_closed(TOLD_TO_STOP),
            Some(false) => return self.not_closed(STILL_READ),
            Some(true) => {}
        }
        // Everybody who is signed in would wait for them behind a door that is shut.
        match self.wait(own.door.settle(SETTLED_WITHIN)) {
            None => return self.not_closed(TOLD_TO_STOP),
            Some(false) => return self.not_closed(SIGN_INS_TAKE_TOO_LONG),
            Some(true) => {}
        }
        match self.wait(own.door.shut(SHUT_WITHIN)) {
            None => return self.not_closed(TOLD_TO_STOP),
            Some(false) => return self.not_closed(QUESTIONS_TAKE_TOO_LONG),
            Some(true) => {}
        }
        self.parts.duty.send_replace(false);
        if let Kept::OnDisk(_) | Kept::EndsOnDisk(_) = &own.kept
            && let Err(error) = self.core.block_on(own.store.close())
        {
            // The file is let go of all the same; what it lacks is in memory no more.
            tracing::error!(error = %with_causes(&error), "the session store was not closed in order");
        }
        Happened::Closed
    }

    /// Waits for something; none where the gateway is told to stop before that has come.
    pub(super) fn wait<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        self.core.block_on(self.stop.unless_told(what))
    }

    fn not_closed(&mut self, why: &str) -> Happened {
        self.failed = Some(failed(why.to_owned()));
        Happened::NotClosed
    }

    /// Gives away what is known in memory only, and waits until the successor could serve.
    fn give(&mut self) -> Result<(), UpgradeReport> {
        let Some((_, channel)) = &mut self.successor else {
            return Err(failed("the successor is gone".to_owned()));
        };
        let given = match &self.parts.lasting.engine {
            Engine::Own(own) => {
                memory::take_out(own, |piece| channel.send(&FromPredecessor::Piece(piece)))
            }
            Engine::Remote(_) => Ok(()),
        };
        let given = given.and_then(|()| channel.send(&FromPredecessor::Yours));
        if let Err(silence) = given {
            // It may have said why before it broke off.
            let why = self.hear(LAST_WORD).err();
            return Err(why.unwrap_or_else(|| failed(with_causes(&silence))));
        }
        let FromSuccessor::Able { process_id } = self.hear(ABLE_WITHIN)? else {
            return Err(unexpected());
        };
        self.process_id = process_id;
        Ok(())
    }

    /// Lets go of everything but the connections that there are, and takes leave.
    fn leave(&mut self) -> Happened {
        if !self.stop.may_leave() {
            self.failed = Some(failed(TOLD_TO_STOP.to_owned()));
            return Happened::Failed;
        }
        // The last look: from here on nobody can be gone back to.
        if self
            .successor
            .as_mut()
            .is_none_or(|(child, _)| has_ended(child))
        {
            self.failed = Some(failed(
                "the successor has ended before it served".to_owned(),
            ));
            return Happened::Failed;
        }
        let parts = self.parts;
        notify::succeeded_by(self.process_id);
        parts.lasting.sockets.lock().leave();
        parts.control.leave();
        parts.retired.send_replace(true);
        self.core.block_on(async {
            timeout(RETIRED_WITHIN, parts.retired.closed()).await.ok();
        });
        if self.send(&FromPredecessor::Go).is_err() {
            // Nobody serves now; whoever looks after the process starts it again when it fails.
            parts.outage.begin("the successor");
        }
        if let Engine::Own(own) = &parts.lasting.engine {
            let clock = Arc::clone(&parts.lasting.ports.clock);
            let state_dir = parts.config.state_dir.clone();
            let ended = own.engine.announcer();
            let successor = Arc::new(SuccessorEngine::new(state_dir, clock, ended));
            let runs = Arc::clone(&successor);
            self.core.spawn(async move { runs.run().await });
            self.core.block_on(heard(&successor));
            own.door.lead_to(successor);
        }
        let process_id = self.process_id;
        tracing::info!(
            process_id,
            version = self.version,
            "another process serves; this one ends its last requests"
        );
        let event = Event::new(EventKind::HandedOver)
            .with("process_id", process_id.to_string())
            .with("version", &*self.version);
        parts.lasting.ports.audit.note(event);
        parts.has_successor.store(true, Ordering::Release);
        parts.succeeded.notify_one();
        Happened::Done
    }

    fn end(&mut self) -> Happened {
        if let Some((mut child, channel)) = self.successor.take() {
            drop(channel);
            // One that has ended by itself is as good.
            child.kill().ok();
            let ended = child.wait();
            self.stop.ended();
            tracing::error!(status = ?ended, "the successor was given up");
        }
        Happened::Gone
    }

    fn reopen(&mut self) -> Happened {
        let Engine::Own(own) = &self.parts.lasting.engine else {
            return Happened::Reopened;
        };
        let reopened = match &own.kept {
            Kept::InMemory(_) => Ok(()),
            Kept::OnDisk(store) => store.open_again(),
            Kept::EndsOnDisk(store) => self.reopen_ends(own, store),
        };
        match reopened {
            Ok(()) => Happened::Reopened,
            Err(error) => {
                tracing::error!(error = %format_args!("{error:#}"), "the session store cannot be opened again");
                Happened::NotReopened
            }
        }
    }

    /// Opens the file of ends again, and has the sessions that are in memory in it again, but for those whose end
    /// stands there by now.
    fn reopen_ends(&self, own: &OwnEngine, store: &Reopenable) -> anyhow::Result<()> {
        let mut sessions = Vec::new();
        let Ok(()) = memory::take_out_sessions(own, |piece| {
            sessions.push(piece);
            Ok::<(), Infallible>(())
        });
        store.open_again()?;
        let taken = self.core.block_on(memory::take_up_all(own, sessions));
        taken.context("the sessions cannot be taken back")
    }

    fn resume(&mut self) -> Happened {
        self.parts.duty.send_replace(true);
        if let Engine::Own(own) = &self.parts.lasting.engine {
            own.door.open();
        }
        Happened::Done
    }

    /// What came of it.
    pub(super) fn report(self) -> UpgradeReport {
        match self.failed {
            None => UpgradeReport::Done {
                process_id: self.process_id,
                version: self.version,
            },
            Some(failed) => {
                let why = match &failed {
                    UpgradeReport::Failed { why } => why,
                    UpgradeReport::Refused { text } => text,
                    UpgradeReport::Done { .. } => "",
                };
                tracing::error!(why, "no successor; this process goes on");
                failed
            }
        }
    }

    pub(super) fn send(&mut self, letter: &FromPredecessor) -> Result<(), UpgradeReport> {
        let Some((_, channel)) = &mut self.successor else {
            return Err(failed("the successor is gone".to_owned()));
        };
        let sent = channel.send(letter);
        sent.map_err(|silence| failed(with_causes(&silence)))
    }

    pub(super) fn hear(&mut self, limit: Duration) -> Result<FromSuccessor, UpgradeReport> {
        let Some((child, channel)) = &mut self.successor else {
            return Err(failed("the successor is gone".to_owned()));
        };
        match channel.receive(limit) {
            Ok(FromSuccessor::Refused { text }) => Err(UpgradeReport::Refused { text }),
            Ok(FromSuccessor::Failed { why }) => Err(failed(format!("the successor says: {why}"))),
            Ok(letter) => Ok(letter),
            Err(Silence::Gone) if self.stop.is_told() => Err(failed(TOLD_TO_STOP.to_owned())),
            Err(Silence::Gone) => Err(failed(ended(child, self.core))),
            Err(silence) => Err(failed(with_causes(&silence))),
        }
    }
}

fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// Waits, within bounds, until every record is in memory.
async fn loaded(own: &OwnEngine) -> bool {
    let complete = async {
        while !own.store.is_complete() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(LOADED_WITHIN, complete).await.is_ok()
}

/// Waits, within bounds, until it is heard what ends at the successor.
async fn heard(successor: &SuccessorEngine) {
    let is_heard = async {
        while !successor.is_heard() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if timeout(HEARD_WITHIN, is_heard).await.is_err() {
        tracing::error!("the successor is not heard");
    }
}

pub(super) const fn failed(why: String) -> UpgradeReport {
    UpgradeReport::Failed { why }
}

pub(super) fn unexpected() -> UpgradeReport {
    failed("the successor does not keep to the order of the hand-over".to_owned())
}

pub(super) const TOLD_TO_STOP: &str = "the gateway was told to stop";
const STILL_READ: &str = "the sessions of the last start are still being read; try again later";
const SIGN_INS_TAKE_TOO_LONG: &str = "sign-ins that are under way take too long; try again later";
const QUESTIONS_TAKE_TOO_LONG: &str =
    "questions about sessions that are under way take too long; try again later";
/// How long the sign-ins under way may take: passwords are checked one after the other. With the two beside it, it is
/// less than the minute for which a successor waits for the sessions.
const SETTLED_WITHIN: Duration = Duration::from_secs(25);
/// How long the questions under way may take.
const SHUT_WITHIN: Duration = Duration::from_secs(10);
/// How long the records of the last start may take.
const LOADED_WITHIN: Duration = Duration::from_secs(20);
/// How long the last word of one that hears no more may be on its way.
const LAST_WORD: Duration = Duration::from_secs(1);
/// How long a successor may take to take up the last of the sessions and to look up the names of upstreams.
const ABLE_WITHIN: Duration = Duration::from_secs(30);
const RETIRED_WITHIN: Duration = Duration::from_secs(2);
const HEARD_WITHIN: Duration = Duration::from_secs(5);
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(10);
