//! How a question gets to the process that has followed this one, and its answer back.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::StatusCode;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::admin::client;
use crate::admin::client::AskError;
use crate::admin::door::SuccessorEngine;
use crate::admin::door::wire::Answer;
use crate::admin::door::wire::Question;

impl SuccessorEngine {
    /// Asks once, and once more where nobody was reached: one process may just have followed another.
    pub(super) async fn ask(
        &self,
        turns: &Semaphore,
        question: &Question,
        limit: Duration,
    ) -> Result<Answer, AskError> {
        let body = serde_json::to_vec(question);
        let body = body.map_err(|error| AskError::Broken(Box::new(error)))?;
        // It may hold a password.
        let body = Bytes::from_owner(Zeroizing::new(body));
        let asked = async {
            let _turn = turns.acquire().await.ok();
            match self.ask_once(body.clone()).await {
                Err(AskError::NotRunning(_) | AskError::Broken(_)) if is_repeatable(question) => {
                    self.clock.sleep(ASK_AGAIN).await;
                    self.ask_once(body).await
                }
                answer => answer,
            }
        };
        let answered = timeout(limit, asked).await;
        answered.unwrap_or(Err(AskError::Late(limit)))
    }

    async fn ask_once(&self, body: Bytes) -> Result<Answer, AskError> {
        let asked = client::exchange(&self.state_dir, (Method::POST, DOOR), ("", body)).await;
        match asked? {
            (StatusCode::OK, answer) => {
                serde_json::from_slice(&answer).map_err(|error| AskError::Broken(Box::new(error)))
            }
            (status, _) => Err(AskError::Refused(format!("it answered {status}"))),
        }
    }
}

/// Whether a question that may have been heard does no harm when it is asked again.
const fn is_repeatable(question: &Question) -> bool {
    match question {
        Question::End { .. }
        | Question::EndAtProvider(_)
        | Question::Judge(_)
        | Question::KeepPost(_)
        | Question::Note { .. }
        | Question::Peer { .. }
        | Question::Touch(_)
        | Question::Visit { .. } => true,
        Question::ChangePassword(_)
        | Question::SignIn(_)
        | Question::Spend { .. }
        | Question::TakePost { .. } => false,
    }
}

pub(super) const DOOR: &str = "/v1/door";
const ASK_AGAIN: Duration = Duration::from_millis(50);
