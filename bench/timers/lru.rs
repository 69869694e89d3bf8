//! No wheel at all: one list per timeout, the least recently heard first.
//!
//! With one timeout per list, appending keeps a list sorted, so a turn looks at heads only. Links
//! run through the indices, and each list closes into a ring through an entry of its own. 12 B per
//! index. What it cannot do is a timeout it has no list for.

use super::subject::{Role, Timers, Unsupported};

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    prev: u32,
    deadline: u32,
}

/// See the [module](self).
pub(crate) struct Lru {
    /// The indices, then each class's ring entry.
    nodes: Vec<Node>,
    classes: Vec<u32>,
    capacity: u32,
}

impl Lru {
    fn append(&mut self, index: u32, now: u32, timeout: u32) {
        let lists = self.capacity..;
        let ring = lists
            .zip(&self.classes)
            .find_map(|(ring, &class)| (class == timeout).then_some(ring))
            .expect("armed with a timeout it was made for");
        let last = std::mem::replace(&mut self.nodes[ring as usize].prev, index);
        self.nodes[last as usize].next = index;
        self.nodes[index as usize] = Node {
            next: ring,
            prev: last,
            deadline: now + timeout,
        };
    }

    fn unlink(&mut self, index: u32) {
        let Node { next, prev, .. } = self.nodes[index as usize];
        self.nodes[prev as usize].next = next;
        self.nodes[next as usize].prev = prev;
    }
}

impl Timers for Lru {
    const NAME: &'static str = "LRU lists";
    const ROLE: Role = Role::Baseline;

    fn new(capacity: u32, classes: &[u32]) -> Self {
        let all = (0..).take(capacity as usize + classes.len());
        Self {
            nodes: all
                .map(|own| Node {
                    next: own,
                    prev: own,
                    deadline: u32::MAX,
                })
                .collect(),
            classes: classes.to_vec(),
            capacity,
        }
    }

    fn arm(&mut self, index: u32, now: u32, timeout: u32) {
        self.append(index, now, timeout);
    }

    fn touch(&mut self, index: u32, now: u32, timeout: u32) {
        self.unlink(index);
        self.append(index, now, timeout);
    }

    fn cancel(&mut self, index: u32) {
        self.unlink(index);
    }

    fn reschedule(&mut self, _index: u32, _now: u32, _timeout: u32) -> Result<(), Unsupported> {
        Err(Unsupported("a list holds one timeout only"))
    }

    fn turn_to(&mut self, now: u32, expired: &mut Vec<u32>) -> usize {
        let before = expired.len();
        for ring in self.capacity as usize..self.nodes.len() {
            loop {
                // The ring entry's own deadline never comes.
                let head = self.nodes[ring].next;
                if self.nodes[head as usize].deadline > now {
                    break;
                }
                self.unlink(head);
                expired.push(head);
            }
        }
        expired.len() - before
    }
}
