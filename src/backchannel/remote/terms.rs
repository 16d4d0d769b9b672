//! What holds at the data centres of the engines, as they told it: the first of the lists that has told
//! anything is gone by, so the own data centre as soon as it was heard of.

use std::sync::Arc;

use crate::backchannel::gate_wire::GateAnswer;
use crate::backchannel::gate_wire::GateQuestion;
use crate::backchannel::remote::FRESH;
use crate::backchannel::remote::RemoteEngine;
use crate::backchannel::remote::node::EngineNode;
use crate::model::peer::Silence;
use crate::ports::cookie_terms::CookieTerms;

impl RemoteEngine {
    /// What holds about cookies, for the gate to go by.
    #[must_use]
    pub fn cookie_terms(&self) -> Arc<CookieTerms> {
        Arc::clone(&self.terms)
    }

    /// Waits until an engine has said what holds there; before that nobody is let in.
    pub async fn told(&self) {
        loop {
            let next = self.is_told.notified();
            if self.terms.current().is_some() {
                return;
            }
            next.await;
        }
    }

    /// Asks an engine what holds at its data centre.
    pub(super) async fn learn(&self, node: &EngineNode) -> Result<(), Silence> {
        let GateAnswer::Terms(terms) = node.ask(&GateQuestion::Terms, FRESH).await? else {
            return Err(Silence::Protocol);
        };
        let deadline = terms.adoption_deadline();
        if self.timeout <= deadline {
            tracing::warn!(
                engine = node.name(),
                timeout = ?self.timeout,
                adoption = ?deadline,
                "`engine.remote.timeout` is not longer than an adoption may take at this engine; \
                 another one may be asked meanwhile"
            );
        }
        node.take_terms(terms);
        self.go_by_the_first();
        Ok(())
    }

    fn go_by_the_first(&self) {
        let told = self.nodes.members();
        let mut told = told.filter_map(|(_, node)| Some((node, node.terms()?)));
        let Some((node, terms)) = told.next() else {
            return;
        };
        match terms.settings(node.cluster()) {
            Ok(settings) => self.terms.tell(settings),
            // It would not have started with such names.
            Err(error) => tracing::error!(engine = node.name(), %error, "not gone by"),
        }
        self.is_told.notify_waiters();
    }
}
