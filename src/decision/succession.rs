//! The order in which a gateway hands over to its successor, so that one process owns the sessions at any time.
//!
//! The predecessor owns them until it has closed its store, and takes them back only once its successor is gone.
//! The successor is given them from the first piece of them on, and owns them from the word that they are its own.
//! It accepts connections only at the word that the predecessor will not take them back. How all of that is done, and
//! how long it may take, is not decided here.

#[cfg(test)]
mod tests;

/// What the process is at that is to hand over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Predecessor {
    /// It serves, and nobody is to follow it.
    #[default]
    Serving,
    /// It serves while its successor is started and reads its configuration.
    Preparing,
    /// Questions about sessions wait, and the store is being closed.
    Closing,
    /// The store is its successor's, which is not ready yet.
    Given,
    /// It takes leave, unless the successor is found to have ended.
    Leaving,
    /// The successor has failed, and is being ended.
    Abandoning(Store),
    /// The store is being opened again.
    Reopening,
    /// Questions about sessions are about to be answered again.
    Resuming,
    /// The successor serves.
    Left,
    /// The store could not be opened again.
    Lost,
}

/// Whether the predecessor has its store open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// It has not.
    Closed,
    /// It has.
    Open,
}

/// What has happened to the predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It is asked to hand over.
    Asked,
    /// The successor is ready for the store.
    Ready,
    /// The store is closed, and everything in it safe.
    Closed,
    /// The store is open still, and cannot be closed now.
    NotClosed,
    /// The successor has opened the store, and could accept connections.
    Able,
    /// The successor says no, breaks off or takes too long.
    Failed,
    /// The successor has ended.
    Gone,
    /// The store is open again.
    Reopened,
    /// It is not, and cannot be.
    NotReopened,
    /// What was to be done is done.
    Done,
}

/// What the predecessor does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Starts the successor, and gives it the sockets once it has read its configuration.
    Start,
    /// Has new sign-ins wait for those under way, then all questions about sessions, and closes the store.
    Close,
    /// Gives away what is known in memory only, and says that the store is the successor's.
    Give,
    /// Lets the successor accept, and takes leave. There is no way back once that is done; a successor that has ended
    /// before has failed.
    Leave,
    /// Ends the successor, and waits until it is gone.
    End,
    /// Opens the store again.
    Reopen,
    /// Answers questions about sessions again.
    Resume,
    /// Stops: there is nothing to answer by.
    Stop,
}

impl Predecessor {
    /// What follows from what has happened. Something that cannot happen now changes nothing.
    pub fn hear(&mut self, happened: Happened) -> Option<Step> {
        let (next, step) = match (*self, happened) {
            (Self::Serving, Happened::Asked) => (Self::Preparing, Some(Step::Start)),
            (Self::Preparing, Happened::Ready) => (Self::Closing, Some(Step::Close)),
            (Self::Closing, Happened::Closed) => (Self::Given, Some(Step::Give)),
            (Self::Given, Happened::Able) => (Self::Leaving, Some(Step::Leave)),
            (Self::Leaving, Happened::Done) => (Self::Left, None),
            (Self::Preparing, Happened::Failed) | (Self::Closing, Happened::NotClosed) => {
                (Self::Abandoning(Store::Open), Some(Step::End))
            }
            (Self::Given | Self::Leaving, Happened::Failed) => {
                (Self::Abandoning(Store::Closed), Some(Step::End))
            }
            (Self::Abandoning(Store::Open), Happened::Gone)
            | (Self::Reopening, Happened::Reopened) => (Self::Resuming, Some(Step::Resume)),
            (Self::Abandoning(Store::Closed), Happened::Gone) => {
                (Self::Reopening, Some(Step::Reopen))
            }
            (Self::Reopening, Happened::NotReopened) => (Self::Lost, Some(Step::Stop)),
            (Self::Resuming, Happened::Done) => (Self::Serving, None),
            (same, _) => (same, None),
        };
        *self = next;
        step
    }
}

/// What the process is at that is to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Successor {
    /// It has the sockets, and nothing else.
    #[default]
    Waiting,
    /// It has opened the store, and takes up what its predecessor has in memory.
    Receiving,
    /// The store is its own.
    Owning,
    /// It accepts connections.
    Serving,
}

/// What the successor hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The first piece of what is known in memory only: the predecessor has let go of the store.
    Begun,
    /// The store is its own.
    Yours,
    /// The predecessor takes nothing back.
    Go,
    /// The predecessor is gone, or says nothing any more.
    Silence,
}

/// What the successor does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Opens the store. It says that it could accept connections once the store is its own.
    Open,
    /// Accepts connections.
    Accept,
    /// Stops. The store was never its own, and not all of it may have come.
    GiveUp,
}

impl Successor {
    /// What follows from what it hears. Whoever owns the store goes on without a predecessor: nobody else can. A
    /// predecessor that lives takes the store back from one that has not got all of it.
    pub const fn hear(&mut self, heard: Heard) -> Option<Move> {
        let (next, does) = match (*self, heard) {
            (Self::Waiting, Heard::Begun) => (Self::Receiving, Some(Move::Open)),
            (Self::Waiting, Heard::Yours) => (Self::Owning, Some(Move::Open)),
            (Self::Receiving, Heard::Yours) => (Self::Owning, None),
            (Self::Waiting | Self::Receiving, Heard::Go | Heard::Silence) => {
                (*self, Some(Move::GiveUp))
            }
            (Self::Owning, Heard::Go | Heard::Silence) => (Self::Serving, Some(Move::Accept)),
            (Self::Receiving | Self::Owning, Heard::Begun)
            | (Self::Owning, Heard::Yours)
            | (Self::Serving, _) => (*self, None),
        };
        *self = next;
        does
    }
}
