//! `GET /v1/status`: how the node is, as [`crate::ports::control::NodeStatus`].

use crate::admin::Desk;
use crate::admin::reply::Reply;

pub(super) fn show(desk: &Desk) -> Reply {
    Reply::ok(&desk.control.status())
}
