//! Bodies as DigitalOcean writes them, by product: every field of the specification that its examples show.

pub(crate) mod compute;
pub(crate) mod data;
pub(crate) mod genai;
pub(crate) mod network;
pub(crate) mod platform;
pub(crate) mod storage;
