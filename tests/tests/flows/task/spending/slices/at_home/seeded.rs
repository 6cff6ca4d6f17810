//! Hundreds of turns of one enforcer that confirms, draws, ends, brings home and crashes, with and without losing what it wrote, watched
//! by somebody who sees every call that was made.

use std::collections::{BTreeMap, VecDeque};

use super::*;

const SEEDS: u64 = 6;
const TURNS: usize = 150;
const LIMIT: u64 = 1_000;
const COST: u64 = 10;

/// Numbers that a seed gives: a linear congruence is enough to choose among a few.
struct Dice(u64);

/// What is written down at the enforcer, and what that says.
#[derive(Clone)]
enum Said {
    Drew(Box<Decision>, SliceId, u64),
    Ended(SliceId),
    Outcome(DecisionId, OutcomeResult),
}

/// The enforcer, and what of it is home.
struct Site {
    incarnation: u64,
    home: Home,
    /// Written down and not home.
    written: VecDeque<Said>,
    /// What it holds.
    slices: BTreeMap<SliceId, u64>,
    /// What calls under way take.
    under_way: BTreeMap<DecisionId, u64>,
    /// What calls took that were made, whatever anybody knows of them.
    made: u64,
}

/// What the control plane must say.
#[derive(Default)]
struct Oracle {
    slices: BTreeMap<SliceId, u64>,
    under_way: BTreeMap<DecisionId, u64>,
    spent: u64,
    unknown: u64,
}

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }

    fn one_of<K: Copy>(&mut self, of: &BTreeMap<K, u64>) -> Option<K> {
        of.keys().nth(self.below(of.len())).copied()
    }
}

impl Oracle {
    fn reserved(&self) -> u64 {
        self.slices.values().chain(self.under_way.values()).sum()
    }

    fn take_in(&mut self, said: &Said) {
        match said {
            Said::Drew(call, slice, cost) => {
                *self.slices.get_mut(slice).unwrap() -= cost;
                self.under_way.insert(call.id, *cost);
            }
            Said::Ended(slice) => drop(self.slices.remove(slice)),
            Said::Outcome(call, result) => {
                let cost = self.under_way.remove(call).unwrap();
                match result {
                    OutcomeResult::Unknown => self.unknown += cost,
                    OutcomeResult::Done | OutcomeResult::Failed => self.spent += cost,
                }
            }
        }
    }

    /// The opening is over, and its journal is home.
    fn crashed(&mut self, is_whole: bool) {
        let left: u64 = std::mem::take(&mut self.slices).into_values().sum();
        let under_way: u64 = std::mem::take(&mut self.under_way).into_values().sum();
        self.unknown += under_way + if is_whole { 0 } else { left };
    }
}

impl Site {
    async fn open(desk: &Desk, incarnation: u64, whole_since: Option<u64>) -> Self {
        Self {
            incarnation,
            home: desk.open(incarnation, whole_since).await,
            written: VecDeque::new(),
            slices: BTreeMap::new(),
            under_way: BTreeMap::new(),
            made: 0,
        }
    }

    async fn confirm(&mut self, desk: &Desk, oracle: &mut Oracle) {
        // Nobody is asked to wait.
        if oracle.reserved() + oracle.spent + oracle.unknown + COST > LIMIT {
            return;
        }
        let (release, slice) = (DecisionId::new(&SystemClock), SliceId::new(&SystemClock));
        let answer = desk.confirm_in(self.incarnation, release, slice).await;
        assert_eq!(answer.charge(), Charge::Charged);
        self.under_way.insert(release, COST);
        oracle.under_way.insert(release, COST);
        self.made += COST;
        if let Some(given) = answer.slice {
            let amount = given.amounts[0].amount.parse().unwrap();
            self.slices.insert(slice, amount);
            oracle.slices.insert(slice, amount);
        }
    }

    fn draw(&mut self, desk: &Desk, dice: &mut Dice) {
        let Some(slice) = dice.one_of(&self.slices) else {
            return;
        };
        let left = self.slices.get_mut(&slice).unwrap();
        let cost = (1 + dice.below(20) as u64).min(*left);
        *left -= cost;
        let call = desk.drawn(slice, cost);
        self.under_way.insert(call.id, cost);
        self.made += cost;
        self.written.push_back(Said::Drew(Box::new(call), slice, cost));
    }

    fn end_slice(&mut self, dice: &mut Dice) {
        if let Some(slice) = dice.one_of(&self.slices) {
            self.slices.remove(&slice);
            self.written.push_back(Said::Ended(slice));
        }
    }

    fn end_call(&mut self, dice: &mut Dice) {
        if let Some(call) = dice.one_of(&self.under_way) {
            self.under_way.remove(&call);
            let results = [OutcomeResult::Done, OutcomeResult::Failed, OutcomeResult::Unknown];
            self.written
                .push_back(Said::Outcome(call, results[dice.below(3)]));
        }
    }

    async fn bring(&mut self, desk: &Desk, oracle: &mut Oracle, count: usize) {
        let said: Vec<Said> = self.written.drain(..count).collect();
        let records = said.iter().map(|said| match said {
            Said::Drew(call, ..) => decided(call),
            Said::Ended(slice) => desk.end(*slice),
            Said::Outcome(call, result) => {
                let of = Decision {
                    id: *call,
                    ..desk.drawn(SliceId::new(&SystemClock), 0)
                };
                desk.outcome(&of, *result)
            }
        });
        self.home.bring(records).await;
        for said in &said {
            oracle.take_in(said);
        }
    }

    /// Dies, with or without what it wrote last, and brings home what is left.
    async fn crash(mut self, desk: &Desk, oracle: &mut Oracle, dice: &mut Dice) -> Self {
        let is_whole = dice.below(2) == 0;
        if !is_whole {
            self.written.truncate(dice.below(self.written.len() + 1));
        }
        self.bring(desk, oracle, self.written.len()).await;
        oracle.crashed(is_whole);
        let next = self.incarnation + 1;
        let mut site = Self::open(desk, next, is_whole.then_some(self.incarnation)).await;
        site.made = self.made;
        site
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_drawn_lost_or_brought_home_nothing_is_overspent_and_nothing_appears() {
    for seed in 1..=SEEDS {
        let desk = Desk::set().await;
        let (mut dice, mut oracle) = (Dice(seed), Oracle::default());
        let mut site = Site::open(&desk, 1, None).await;
        for turn in 0..TURNS {
            match dice.below(20) {
                0..=2 => site.confirm(&desk, &mut oracle).await,
                3..=9 => site.draw(&desk, &mut dice),
                10 => site.end_slice(&mut dice),
                11..=14 => site.end_call(&mut dice),
                15..=18 => {
                    let count = dice.below(site.written.len() + 1);
                    site.bring(&desk, &mut oracle, count).await;
                }
                _ => site = site.crash(&desk, &mut oracle, &mut dice).await,
            }
            let held = [oracle.spent, oracle.reserved(), oracle.unknown];
            assert_eq!(
                desk.used().await,
                held.map(|amount| amount.to_string()),
                "seed {seed}, turn {turn}"
            );
            let taken: u64 = held.iter().sum();
            assert!(site.made <= taken && taken <= LIMIT, "seed {seed}, turn {turn}");
        }
    }
}
