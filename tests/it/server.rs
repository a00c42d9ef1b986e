//! The HTTP server over a socket: who is let in, what is refused and how, event streams that come back, the console's
//! files, and the document that describes it all.

mod access;
mod conversations;
mod documents;
mod harness;
