//! `POST /v1/upgrade`: has another process take the place of this one, and answers what came of it as
//! [`crate::ports::control::UpgradeReport`].

use http::StatusCode;

use crate::admin::Desk;
use crate::admin::reply::Reply;
use crate::admin::verbs::Question;
use crate::ports::control::UpgradeError;
use crate::ports::control::UpgradeQuestion;

pub(super) async fn upgrade(desk: &Desk, question: &Question) -> Reply {
    let wanted = if question.body.is_empty() {
        Ok(UpgradeQuestion::default())
    } else {
        serde_json::from_slice::<UpgradeQuestion>(&question.body)
    };
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return Reply::refused(StatusCode::BAD_REQUEST, &error),
    };
    let binary = wanted.binary.as_ref();
    let binary = binary.map_or_else(String::new, |path| path.display().to_string());
    desk.audit
        .note(question.given("upgrade").with("binary", binary));
    match desk.control.upgrade(&wanted).await {
        Ok(report) => Reply::ok(&report),
        Err(error) => {
            let status = match error {
                UpgradeError::Busy | UpgradeError::FirstProcess | UpgradeError::NotByCommand => {
                    StatusCode::CONFLICT
                }
                UpgradeError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            };
            Reply::refused(status, &error)
        }
    }
}
