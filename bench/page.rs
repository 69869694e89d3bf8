//! The page a result folder holds, opened in headless Chromium: what a person sees, hears and can press.
//!
//! Renders kept records anew; measures nothing. Where Chromium or its driver is missing, the tests say SKIPPED.

#[cfg(test)]
#[path = "page/against.rs"]
mod against;
#[cfg(test)]
#[path = "page/browser.rs"]
mod browser;
#[cfg(test)]
#[path = "page/charts.rs"]
mod charts;
#[cfg(test)]
#[path = "page/lifecycle.rs"]
mod lifecycle;
#[cfg(test)]
#[path = "page/looks.rs"]
mod looks;
