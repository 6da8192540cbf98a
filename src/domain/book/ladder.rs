//! One side of a book: quantity by key, where the largest key is the best price. Levels near the best live in a window of
//! 65,536 ticks under three bitmaps, so that a level update and the next best are a few word operations; the far tail,
//! which is touched rarely, lives in an ordered map. The window follows the best price.

use std::collections::BTreeMap;

/// Ticks in one page. Real books are sparse away from the top (one to three levels in 16 ticks on BTCUSDT), so a small page
/// keeps a deep book small: 136 bytes each.
const PAGE_TICKS: usize = 16;
const PAGE_BITS: u32 = PAGE_TICKS.trailing_zeros();
/// Two bitmap words of 64 above the pages: 4,096 pages.
const PAGES: usize = 64 * 64;
/// 65,536 ticks: 6.5 % of the price on BTCUSDT spot and ten times as much on USD-M; 96 % of the level updates of both.
const WINDOW_TICKS: u64 = (PAGES * PAGE_TICKS) as u64;
const _: () = assert!(WINDOW_TICKS == 1 << 16, "an offset in the window is a u16");
/// Where the best price sits after the window moved. Levels lie below the best, so a quarter is left above it to rise into.
const BEST_OFFSET: i64 = (WINDOW_TICKS / 4 * 3) as i64;
/// Below this offset of the best price most of the side would be outside the window: time to move it.
const LOW_OFFSET: i64 = (WINDOW_TICKS / 8) as i64;

#[derive(Debug, Clone, Copy)]
struct Page {
    mask: u16,
    lots: [i64; PAGE_TICKS],
}

const EMPTY_PAGE: Page = Page { mask: 0, lots: [0; PAGE_TICKS] };
/// In the directory: no page. Slots are below `PAGES`.
const NO_PAGE: u16 = u16::MAX;

/// Invariants: a bit of `groups` is set exactly when that page has a level, a bit of `root` exactly when that word of
/// `groups` is not zero; the directory names a page exactly where `groups` has a bit; the best level, if there is one, is in the window; every key in `far` is below the window.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    /// The key of the window's first tick.
    base: i64,
    best: Option<i64>,
    root: u64,
    groups: [u64; 64],
    /// Slot in `pages`, or `NO_PAGE`: one load tells a level update both.
    directory: Box<[u16; PAGES]>,
    pages: Vec<Page>,
    free: Vec<u16>,
    far: BTreeMap<i64, i64>,
    length: usize,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            base: 0,
            best: None,
            root: 0,
            groups: [0; 64],
            directory: Box::new([NO_PAGE; PAGES]),
            pages: Vec::new(),
            free: Vec::new(),
            far: BTreeMap::new(),
            length: 0,
        }
    }
}

impl Ladder {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    #[inline]
    pub(super) fn best(&self) -> Option<(i64, i64)> {
        let key = self.best?;
        Some((key, self.near(self.offset(key)?)))
    }

    pub(super) fn get(&self, key: i64) -> i64 {
        match self.offset(key) {
            Some(offset) => self.near(offset),
            None => self.far.get(&key).copied().unwrap_or(0),
        }
    }

    /// Most updates of a real book change a level where others stand: they touch the directory and one page, and no more.
    #[inline]
    pub(super) fn set(&mut self, key: i64, lots: i64) {
        match self.offset(key) {
            Some(offset) if lots > 0 && self.put(key, offset, lots) => {}
            _ => self.set_elsewhere(key, lots),
        }
    }

    #[inline(never)]
    fn set_elsewhere(&mut self, key: i64, lots: i64) {
        match self.offset(key) {
            Some(offset) if lots > 0 => self.insert_near(key, offset, lots),
            Some(offset) => self.remove_near(key, offset),
            None if lots > 0 => self.insert_far(key, lots),
            None => self.length -= usize::from(self.far.remove(&key).is_some()),
        }
    }

    pub(super) fn clear(&mut self) {
        self.best = None;
        self.root = 0;
        self.groups = [0; 64];
        if !self.pages.is_empty() {
            self.directory.fill(NO_PAGE);
        }
        self.pages.clear();
        self.free.clear();
        self.far.clear();
        self.length = 0;
    }

    pub(super) fn prune_above(&mut self, limit: i64) {
        while let Some(best) = self.best.filter(|best| *best > limit) {
            self.set(best, 0);
        }
    }

    /// The level after `key` on the way down.
    pub(super) fn next_below(&self, key: i64) -> Option<(i64, i64)> {
        if let Some(offset) = self.offset(key)
            && let Some(below) = self.offset_below(offset)
        {
            return Some((self.base.wrapping_add(i64::from(below)), self.near(below)));
        }
        self.far.range(..key).next_back().map(|(key, lots)| (*key, *lots))
    }

    /// The window has as many ticks as a `u16` has values.
    #[inline]
    fn offset(&self, key: i64) -> Option<u16> {
        u16::try_from(key.wrapping_sub(self.base)).ok()
    }

    #[inline]
    fn page(&self, number: usize) -> Option<&Page> {
        self.pages.get(usize::from(self.directory[number]))
    }

    #[inline]
    fn near(&self, offset: u16) -> i64 {
        self.page(usize::from(offset >> PAGE_BITS)).map_or(0, |page| page.lots[usize::from(offset) % PAGE_TICKS])
    }

    fn insert_near(&mut self, key: i64, offset: u16, lots: i64) {
        if !self.put(key, offset, lots) {
            self.add_page(usize::from(offset >> PAGE_BITS));
            self.put(key, offset, lots);
        }
    }

    /// Sets a level whose page is there; says whether it is.
    #[inline]
    fn put(&mut self, key: i64, offset: u16, lots: i64) -> bool {
        let Some(page) = self.pages.get_mut(usize::from(self.directory[usize::from(offset >> PAGE_BITS)])) else { return false };
        let slot = usize::from(offset) % PAGE_TICKS;
        self.length += usize::from(page.mask >> slot & 1 == 0);
        page.mask |= 1 << slot;
        page.lots[slot] = lots;
        if self.best.is_none_or(|best| key > best) {
            self.best = Some(key);
        }
        true
    }

    fn remove_near(&mut self, key: i64, offset: u16) {
        let number = usize::from(offset >> PAGE_BITS);
        let Some(page) = self.pages.get_mut(usize::from(self.directory[number])) else { return };
        let bit = 1_u16 << (usize::from(offset) % PAGE_TICKS);
        self.length -= usize::from(page.mask & bit != 0);
        page.mask &= !bit;
        page.lots[usize::from(offset) % PAGE_TICKS] = 0;
        if page.mask == 0 {
            self.remove_page(number);
        }
        if self.best == Some(key) {
            self.find_best();
        }
    }

    fn insert_far(&mut self, key: i64, lots: i64) {
        if self.best.is_none_or(|best| key > best) {
            self.move_window(key);
            self.set(key, lots);
        } else if self.far.insert(key, lots).is_none() {
            self.length += 1;
        }
    }

    fn add_page(&mut self, number: usize) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.pages.push(EMPTY_PAGE);
            // Invariant: at most PAGES pages are in use, and 4,096 fits.
            (self.pages.len() - 1) as u16
        });
        self.directory[number] = slot;
        self.groups[number / 64] |= 1 << (number % 64);
        self.root |= 1 << (number / 64);
    }

    /// The page is empty, and all its quantities are zero again.
    fn remove_page(&mut self, number: usize) {
        self.free.push(std::mem::replace(&mut self.directory[number], NO_PAGE));
        let group = &mut self.groups[number / 64];
        *group &= !(1 << (number % 64));
        if *group == 0 {
            self.root &= !(1 << (number / 64));
        }
    }

    /// After the best level went.
    fn find_best(&mut self) {
        if let Some(offset) = self.last_offset() {
            let best = self.base.wrapping_add(i64::from(offset));
            self.best = Some(best);
            if i64::from(offset) < LOW_OFFSET && !self.far.is_empty() {
                self.move_window(best);
            }
        } else if let Some((&best, _)) = self.far.last_key_value() {
            self.move_window(best);
        } else {
            self.best = None;
        }
    }

    /// Puts the window around `best`, which is at or above every level, and files every level anew.
    fn move_window(&mut self, best: i64) {
        let mut levels = Vec::with_capacity(self.length);
        let mut offset = self.last_offset();
        while let Some(at) = offset {
            levels.push((self.base.wrapping_add(i64::from(at)), self.near(at)));
            offset = self.offset_below(at);
        }
        levels.extend(std::mem::take(&mut self.far).into_iter().rev());
        self.clear();
        self.base = best.wrapping_sub(BEST_OFFSET);
        for (key, lots) in levels {
            match self.offset(key) {
                Some(offset) => self.insert_near(key, offset, lots),
                None => {
                    self.far.insert(key, lots);
                    self.length += 1;
                }
            }
        }
    }

    fn last_offset(&self) -> Option<u16> {
        let group = last_bit(self.root)?;
        let page = group * 64 + last_bit(self.groups[group])?;
        self.last_in_page(page, u16::MAX)
    }

    fn offset_below(&self, offset: u16) -> Option<u16> {
        let number = usize::from(offset >> PAGE_BITS);
        if let Some(found) = self.last_in_page(number, low_bits(usize::from(offset) % PAGE_TICKS) as u16) {
            return Some(found);
        }
        let group = number / 64;
        if let Some(bit) = last_bit(self.groups[group] & low_bits(number % 64)) {
            return self.last_in_page(group * 64 + bit, u16::MAX);
        }
        let group = last_bit(self.root & low_bits(group))?;
        self.last_in_page(group * 64 + last_bit(self.groups[group])?, u16::MAX)
    }

    fn last_in_page(&self, number: usize, mask: u16) -> Option<u16> {
        let slot = last_bit(u64::from(self.page(number)?.mask & mask))?;
        // Invariant: a page's number is below PAGES, so that an offset fits.
        Some((number << PAGE_BITS) as u16 + slot as u16)
    }
}

/// The highest bit that is set.
#[inline]
fn last_bit(word: u64) -> Option<usize> {
    (word != 0).then(|| 63 - word.leading_zeros() as usize)
}

/// The bits below `count`, which is less than 64.
#[inline]
const fn low_bits(count: usize) -> u64 {
    (1 << count) - 1
}
