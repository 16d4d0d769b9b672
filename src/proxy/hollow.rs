//! Compressed answers of upstreams of HTTP/2 that turn out to be a head alone: no bytes are no text in any coding, and
//! decoders stumble over them.
//!
//! pingora tells its modules whether anything follows a head, and the filters of a request nothing of it. A module that
//! is there for every request costs each of them several allocations, so this one is put in where an answer has been
//! announced as compressed and may be empty (ADR 0029).

use std::any::Any;

use async_trait::async_trait;
use http::header;
use pingora::http::ResponseHeader;
use pingora::modules::http::HttpModule;
use pingora::modules::http::HttpModuleBuilder;
use pingora::modules::http::HttpModules;
use pingora::modules::http::Module;
use pingora::proxy::Session;

use crate::proxy::whereabouts::Saying;

/// Takes the coding off a head that nothing follows.
#[derive(Clone, Copy, Debug)]
struct Hollow;

/// Has the head that is about to be sent lose its coding if nothing follows it.
pub(super) fn mend_if_empty(session: &mut Session) {
    let mut modules = HttpModules::new();
    if let Some(saying) = session.downstream_modules_ctx.get::<Saying>() {
        modules.add_module(Box::new(saying.clone()));
    }
    modules.add_module(Box::new(Hollow));
    session.downstream_modules_ctx = modules.build_ctx();
}

impl HttpModuleBuilder for Hollow {
    fn init(&self) -> Module {
        Box::new(*self)
    }
}

#[async_trait]
impl HttpModule for Hollow {
    async fn response_header_filter(
        &mut self,
        head: &mut ResponseHeader,
        is_all: bool,
    ) -> pingora::Result<()> {
        if is_all {
            head.remove_header(&header::CONTENT_ENCODING);
        }
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
