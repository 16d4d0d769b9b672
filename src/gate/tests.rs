//! Rules of the engine.
