//! `POST /v1/reload`: has the configuration read again, and answers what came of it, faults included, as
//! [`crate::ports::control::ReloadReport`].

use http::StatusCode;

use crate::admin::Desk;
use crate::admin::reply::Reply;

pub(super) async fn reload(desk: &Desk) -> Reply {
    match desk.control.reload().await {
        Ok(report) => Reply::ok(&report),
        Err(error) => Reply::refused(StatusCode::SERVICE_UNAVAILABLE, &error),
    }
}
