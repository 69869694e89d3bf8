//! Renders a [`Record`](crate::record::Record): for a person at a terminal, for a browser, for
//! other tools.
//!
//! Does not measure, compute statistics, read a clock or talk to the network; it only says what the
//! record holds. Files are touched in [`folder`](ResultFolder) alone. Nanoseconds come in; text
//! shows a fitting unit.
//!
//! | exporter | writes | for |
//! |---|---|---|
//! | [`table`] | the answer, one table, winners, warnings, verdict | the terminal, after a run |
//! | [`effective_config`] | every setting, defaults included | the terminal, before a run |
//! | [`markdown_table`] | the answer and its main rows in Markdown | a README |
//! | [`html()`] | one self-contained page | a browser, a printer |
//! | [`plots`] | SVG charts, one idea each | the page, a paper |
//! | [`hgrm()`] | percentile distribution | HdrHistogram's plotter, gnuplot |
//! | [`hlog()`] | interval log, one line per round | `HistogramLogProcessor` and its kin |
//! | [`samples_csv`] | one row a second | a spreadsheet |
//! | `cells_csv` | one row a cell of a fault lab | a spreadsheet |
//! | `lifecycle::files` | captures, one row a segment, one a change of state | Wireshark, a spreadsheet |
//! | [`Difference`] | two results side by side | a terminal, a README, a browser |
//! | `fleet::text` and its kin | sums beside the server, a row per host | the terminal, a page |
//! | [`ResultFolder`] | all of the above beside `record.json`, whole or not at all | keeping |

#![forbid(unsafe_code)]

mod against;
mod answer;
mod csv;
mod detection;
#[cfg(test)]
pub(crate) mod fixture;
mod fleet;
mod folder;
mod format;
mod grid;
mod hgrm;
mod hlog;
mod html;
mod lifecycle;
mod plot;
mod rows;
mod scale;
mod shards;
mod storm;
mod sums;
mod text;

pub use against::{AgainstError, Difference, Side};
pub use csv::samples_csv;
pub use folder::{FolderError, ResultFolder, load, load_verified, rewrite_rendered, write_page};
pub use hgrm::hgrm;
pub use hlog::{HlogError, hlog};
pub use html::html;
pub use plot::{Plot, PlotError, plots};
pub use text::{effective_config, markdown_table, table};
