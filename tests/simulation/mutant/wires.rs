//! Questions and answers for an engine without a rule about them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portway::engine::EmbeddedEngine;
use portway::model::end::End;
use portway::model::name::ClusterId;
use portway::model::peer::Answer;
use portway::model::peer::Question;
use portway::model::peer::Silence;
use portway::model::session::Generation;
use portway::model::session::Rank;
use portway::model::session::SessionState;
use portway::ports::peer_channel::PeerChannel;
use portway::ports::peer_service::PeerService;
use portway::ports::session_store::Found;
use portway::ports::session_store::SessionStore;

use crate::mutant::Mutation;
use crate::network::Channel;
use crate::store::SimStore;

/// What an engine hears, but for one thing.
pub(super) struct MutantChannel {
    pub(super) mutation: Mutation,
    pub(super) inner: Channel,
    pub(super) store: Arc<SimStore>,
}

/// What an engine is asked, but for one thing.
pub(super) struct MutantService {
    pub(super) mutation: Mutation,
    pub(super) inner: Arc<EmbeddedEngine>,
    pub(super) store: Arc<SimStore>,
}

#[async_trait]
impl PeerChannel for MutantChannel {
    fn peers(&self) -> &[ClusterId] {
        self.inner.peers()
    }

    async fn ask(
        &self,
        peer: &ClusterId,
        question: Question,
        limit: Duration,
    ) -> Result<Answer, Silence> {
        let seen = seen(&question);
        if let (Mutation::NoCommit, Question::Commit { .. }) = (self.mutation, &question) {
            return Ok(Answer::Committed(None));
        }
        let answer = self.inner.ask(peer, question, limit).await?;
        match (self.mutation, answer) {
            (
                Mutation::RefusalIsSilence,
                Answer::Refused(_) | Answer::Ended | Answer::Idle | Answer::Expired,
            ) => Err(Silence::TimedOut),
            (Mutation::NoGenerationCheck, Answer::Session(mut session)) => {
                session.facts.generation = session.facts.generation.max(seen);
                Ok(Answer::Session(session))
            }
            (
                Mutation::MovedWithoutRank,
                Answer::Ends {
                    incarnation,
                    ends,
                    rest,
                },
            ) => {
                let ends = ends
                    .into_iter()
                    .map(|(at, end)| (at, outranking(&self.store, end)));
                let ends = ends.collect();
                Ok(Answer::Ends {
                    incarnation,
                    ends,
                    rest,
                })
            }
            (_, answer) => Ok(answer),
        }
    }
}

#[async_trait]
impl PeerService for MutantService {
    async fn answer(&self, from: &ClusterId, question: Question) -> Answer {
        let question = match (self.mutation, question) {
            (
                Mutation::NoGenerationCheck,
                Question::Reserve {
                    mut facts,
                    adoption,
                    data,
                },
            ) => {
                facts.generation = Generation::default();
                Question::Reserve {
                    facts,
                    adoption,
                    data,
                }
            }
            (Mutation::MovedWithoutRank, Question::PushEnds { ends }) => {
                let ends = ends.into_iter().map(|end| outranking(&self.store, end));
                Question::PushEnds {
                    ends: ends.collect(),
                }
            }
            (_, question) => question,
        };
        self.inner.answer(from, question).await
    }
}

/// The generation that the asker has seen.
fn seen(question: &Question) -> Generation {
    match question {
        Question::Fetch { facts, .. } | Question::Reserve { facts, .. } => facts.generation,
        Question::Abort { .. }
        | Question::Commit { .. }
        | Question::Hello(_)
        | Question::LastAccess { .. }
        | Question::PullEnds { .. }
        | Question::PushEnds { .. } => Generation::default(),
    }
}

/// A move as one without a rank: it ranks above whatever is held here.
fn outranking(store: &SimStore, end: End) -> End {
    let End::Moved {
        sso,
        holder,
        expires,
    } = end
    else {
        return end;
    };
    let Found::Record(session) = store.find(&sso) else {
        return End::Moved {
            sso,
            holder,
            expires,
        };
    };
    let generation = match session.state {
        SessionState::Live => Generation(session.facts.generation.0 + 1),
        SessionState::Ended | SessionState::Moved { .. } | SessionState::Pending(_) => {
            holder.generation
        }
    };
    let generation = generation.max(holder.generation);
    let holder = Rank {
        generation,
        ..holder
    };
    End::Moved {
        sso,
        holder,
        expires,
    }
}
