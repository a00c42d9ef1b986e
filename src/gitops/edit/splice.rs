//! The four changes bytes can undergo (replace, insert an entry, insert an item, remove) in block and in flow style.

use serde_json::{Map, Value};

use super::{
    node::Node,
    plan::{Place, Plan, Refusal, Slot, Splice, refuse},
    write::{Layout, column, line_end, line_start, pad},
};

type Splices = Result<Vec<Splice>, Refusal>;

impl Plan<'_> {
    /// Writes `value` in the place of the slot's node.
    pub(super) fn replace(&self, slot: Slot<'_>, value: &Value) -> Splices {
        let old = slot.node;
        if slot.in_flow() || (self.layout.json && !old.is_omitted()) {
            return Ok(vec![self.replace_in_flow(slot, value)]);
        }
        let (holder, dash) = match slot.place {
            Place::Root => return Ok(vec![self.replace_root(old, value)]),
            Place::Value { map, index } => (map.entries()[index].key.start, false),
            Place::Item { list, index } => (list.items()[index].start, true),
        };
        let indent = column(self.text, holder);
        let after = if dash {
            self.layout.after_dash(value, indent, self.gap(slot), &[old])
        } else {
            let body = self.body_column(old).and_then(|column| column.checked_sub(indent));
            let step = body.filter(|step| *step > 0).unwrap_or(self.layout.step);
            Layout { step, ..self.layout.clone() }.after_key(value, indent, &[old])
        };
        let header = if after.starts_with('\n') { Some("") } else { None };
        let (head, body) = match after.split_once('\n') {
            Some((head, body)) => (header.unwrap_or(head), Some(body)),
            None => (after.as_str(), None),
        };
        let collection = value.is_object() || value.is_array();
        let inline = !old.is_block() && !old.is_block_scalar();
        if dash && (collection || old.is_block()) {
            let gap = if old.is_omitted() { &after } else { after.trim_start() };
            return Ok(vec![splice(old.span.start, old.end(), gap)]);
        }
        let mut splices = Vec::new();
        let first_line = if inline {
            let from = if old.is_omitted() || head.is_empty() { old.bound } else { old.span.start };
            let head = if from == old.bound { head } else { head.trim_start() };
            splices.push(splice(from, old.end(), head));
            old.end()
        } else if old.is_block_scalar() {
            let indicators = self.text[old.span.start..]
                .find(|c: char| !matches!(c, '|' | '>' | '+' | '-') && !c.is_ascii_digit())
                .map_or(self.text.len(), |length| old.span.start + length);
            let from = if head.is_empty() { old.bound } else { old.span.start };
            splices.push(splice(from, indicators, head.trim_start()));
            indicators
        } else {
            splices.push(splice(old.bound, old.bound, head));
            old.bound
        };
        let from = line_end(self.text, first_line);
        let mut to = line_end(self.text, old.end()).max(from);
        while head.ends_with('+') && self.is_blank(to) {
            // blank lines that follow would become part of a text that keeps its line breaks
            to = line_end(self.text, to);
        }
        splices.extend(self.lines(from, to, body));
        Ok(splices)
    }

    fn replace_in_flow(&self, slot: Slot<'_>, value: &Value) -> Splice {
        let old = slot.node;
        let text = self.layout.flow(value, &[old]);
        if !old.is_omitted() {
            return splice(old.span.start, old.span.end, &text);
        }
        let colon = slot.entry().is_none_or(|entry| entry.colon);
        splice(old.bound, old.bound, &format!("{}{text}", if colon { " " } else { ": " }))
    }

    fn replace_root(&self, old: &Node, value: &Value) -> Splice {
        let hollow = value.as_object().is_some_and(Map::is_empty) || value == &Value::Array(vec![]);
        let text =
            if hollow { self.layout.flow(value, &[]) } else { self.layout.block(value, 0, &[old]) };
        if !old.is_omitted() {
            return splice(old.span.start, old.end(), &text);
        }
        // an empty document: at its end, on a line of its own
        let end = self.range_end;
        let open = !self.text[..end].is_empty() && !self.text[..end].ends_with('\n');
        splice(end, end, &format!("{}{text}\n", if open { "\n" } else { "" }))
    }

    /// The column of the lines of a block scalar.
    fn body_column(&self, node: &Node) -> Option<usize> {
        let body = line_end(self.text, node.span.start);
        let lines = self.text.get(body..node.end()).filter(|_| node.is_block_scalar())?;
        let line = lines.lines().find(|line| !line.trim().is_empty())?;
        Some(line.len() - line.trim_start_matches(' ').len())
    }

    /// Blanks after the `-` of the slot's list.
    fn gap(&self, slot: Slot<'_>) -> usize {
        let Place::Item { list, index } = slot.place else { return 1 };
        let Some(item) = list.items().get(index) else { return 1 };
        let between = self.text.get(item.start + 1..item.value.start).unwrap_or_default();
        if between.bytes().all(|b| b == b' ') { between.len().max(1) } else { 1 }
    }

    /// Adds entries after the last one of a mapping.
    pub(super) fn insert_entries(&self, slot: Slot<'_>, entries: &[(&String, &Value)]) -> Splices {
        let map = slot.node;
        let Some(last) = map.entries().last() else {
            let all = entries.iter().map(|(k, v)| ((*k).clone(), (*v).clone()));
            return self.replace(slot, &Value::Object(Map::from_iter(all)));
        };
        if map.is_flow() {
            let texts: Vec<String> =
                entries.iter().map(|(k, v)| self.layout.flow_entry(k, v, &[map])).collect();
            return self.insert_in_flow(map, last.key.start, last.value.end(), &texts);
        }
        let indent = column(self.text, last.key.start);
        let texts: Vec<String> = entries
            .iter()
            .map(|(k, v)| pad(indent) + &self.layout.entry(k, v, indent, &[map]))
            .collect();
        let at = self.after_last(last.value.end(), indent);
        Ok(self.lines(at, at, Some(&texts.join("\n"))).into_iter().collect())
    }

    /// Adds an item before the one at `at`, or as the last.
    pub(super) fn insert_item(&self, slot: Slot<'_>, at: usize, value: &Value) -> Splices {
        let list = slot.node;
        let Some(last) = list.items().last() else {
            return self.replace(slot, &Value::Array(vec![value.clone()]));
        };
        let examples: Vec<&Node> = list.items().iter().map(|item| &item.value).collect();
        let next = list.items().get(at);
        if list.is_flow() {
            let text = self.layout.flow(value, &examples);
            return match next {
                Some(next) => Ok(vec![splice(next.start, next.start, &format!("{text}, "))]),
                None => self.insert_in_flow(list, last.start, last.value.end(), &[text]),
            };
        }
        let indent = column(self.text, last.start);
        let near = Place::Item { list, index: at.saturating_sub(1) };
        let gap = self.gap(Slot { node: list, place: near });
        let text = format!("-{}", self.layout.after_dash(value, indent, gap, &examples));
        let at = match next {
            None => self.after_last(last.value.end(), indent),
            Some(next) if self.begins_line(next.start) => self.with_comments(next.start, indent),
            // the first item stands behind the dash of an outer list
            Some(next) => {
                let text = format!("{text}\n{}", pad(indent));
                return Ok(vec![splice(next.start, next.start, &text)]);
            }
        };
        Ok(self.lines(at, at, Some(&(pad(indent) + &text))).into_iter().collect())
    }

    /// Adds to brackets that are not empty; on lines of their own where the last child has one.
    fn insert_in_flow(&self, node: &Node, start: usize, end: usize, texts: &[String]) -> Splices {
        if node.span.start == node.span.end || !self.text[node.span.start..].starts_with(['{', '['])
        {
            return refuse(
                node.start,
                "a single pair in brackets takes no more; write it as {key: value}",
            );
        }
        if !self.begins_line(start) {
            return Ok(vec![splice(end, end, &format!(", {}", texts.join(", ")))]);
        }
        let indent = pad(column(self.text, start));
        let comma = self.comma(end);
        let closes_here = line_start(self.text, node.span.end - 1) == line_start(self.text, end);
        if closes_here {
            let texts: String = texts.iter().map(|text| format!(",\n{indent}{text}")).collect();
            return Ok(vec![splice(end, end, &texts)]);
        }
        let mut splices = Vec::new();
        let glue = if comma.is_some() { "," } else { "" };
        if comma.is_none() {
            splices.push(splice(end, end, ","));
        }
        let body = texts.join(&format!(",\n{indent}"));
        let at = line_end(self.text, comma.unwrap_or(end));
        splices.extend(self.lines(at, at, Some(&format!("{indent}{body}{glue}"))));
        Ok(splices)
    }

    /// The comma that follows `end`, comments aside.
    fn comma(&self, mut end: usize) -> Option<usize> {
        loop {
            let rest = &self.text[end..];
            end += rest.len() - rest.trim_start().len();
            match self.text[end..].chars().next()? {
                ',' => return Some(end),
                '#' => end = line_end(self.text, end),
                _ => return None,
            }
        }
    }

    /// Takes a child out of a collection that keeps others.
    pub(super) fn remove_slot(&self, slot: Slot<'_>) -> Splices {
        let (holder, index, starts): (_, _, Vec<(usize, usize)>) = match slot.place {
            Place::Root => return refuse(slot.node.start, "a whole document cannot be removed"),
            Place::Value { map, index } => {
                let spans =
                    map.entries().iter().map(|e| (e.key.start, e.value.end().max(e.key.end())));
                (map, index, spans.collect())
            }
            Place::Item { list, index } => {
                (list, index, list.items().iter().map(|i| (i.start, i.value.end())).collect())
            }
        };
        if slot.entry().is_some_and(|entry| entry.explicit) {
            return refuse(slot.node.start, "it is written as '? key'; rewrite it as 'key:'");
        }
        if holder.is_flow() {
            return Ok(self.remove_in_flow(holder, index, &starts));
        }
        let (start, end) = starts[index];
        let next = starts.get(index + 1).map(|(start, _)| *start);
        if self.begins_line(start) {
            return Ok(vec![self.remove_lines(start, end, next, index)]);
        }
        // it stands behind a dash: the next sibling takes its place, or its lines when comments stand between
        let next = next.unwrap_or(end);
        let line = line_end(self.text, end);
        if self.text[line.min(next)..next].trim().is_empty() {
            return Ok(vec![splice(start, next, "")]);
        }
        let blanks = self.text[..start].len() - self.text[..start].trim_end_matches(' ').len();
        Ok(vec![splice(start - blanks, self.text[..line].trim_end().len(), "")])
    }

    /// Whole lines, with the comment lines right above that speak of nothing else, and one of two blank lines.
    fn remove_lines(&self, start: usize, end: usize, next: Option<usize>, index: usize) -> Splice {
        let text = self.text;
        let indent = column(text, start);
        let mut to = line_end(text, end);
        let heads_group = next.is_some_and(|next| line_start(text, next) == to);
        let from = if heads_group || (index == 0 && indent == 0) {
            line_start(text, start)
        } else {
            self.with_comments(start, indent)
        };
        if from > 0 && self.is_blank(line_start(text, from - 1)) && self.is_blank(to) {
            to = line_end(text, to);
        }
        splice(from, to, "")
    }

    fn remove_in_flow(&self, holder: &Node, index: usize, spans: &[(usize, usize)]) -> Vec<Splice> {
        let (start, end) = spans[index];
        let comma = self.comma(end);
        let own_end = comma.map_or(end, |comma| comma + 1);
        let line = line_end(self.text, own_end);
        let rest = self.text[own_end..line].trim();
        let own_line = self.begins_line(start) && (rest.is_empty() || rest.starts_with('#'));
        let mut splices = Vec::new();
        if own_line {
            if comma.is_none()
                && index > 0
                && let Some(before) = self.comma(spans[index - 1].1)
            {
                splices.push(splice(before, before + 1, ""));
            }
            splices.push(splice(line_start(self.text, start), line, ""));
        } else if index > 0 {
            splices.push(splice(spans[index - 1].1, end, ""));
        } else {
            let next = spans.get(1).map_or(holder.span.end - 1, |(start, _)| *start);
            splices.push(splice(start, next, ""));
        }
        splices
    }

    /// Whether the line that begins at `from` has nothing but blanks.
    fn is_blank(&self, from: usize) -> bool {
        let line = &self.text[from..line_end(self.text, from)];
        !line.is_empty() && line.trim().is_empty()
    }

    /// Whether only blanks stand before `at` in its line.
    fn begins_line(&self, at: usize) -> bool {
        let before = &self.text[line_start(self.text, at)..at];
        before.chars().all(|c| matches!(c, ' ' | '\u{feff}'))
    }

    /// The first of the comment lines right above the line of `at` that start at column `indent`, or that line.
    fn with_comments(&self, at: usize, indent: usize) -> usize {
        let mut from = line_start(self.text, at);
        while from > 0 {
            let above = line_start(self.text, from - 1);
            if self.comment_column(above) != Some(indent) {
                break;
            }
            from = above;
        }
        from
    }

    /// The column of the comment that is alone in the line at `from`.
    fn comment_column(&self, from: usize) -> Option<usize> {
        let line = &self.text[from..line_end(self.text, from)];
        let at = from + line.find('#')?;
        let alone = self.text[from..at].trim().is_empty();
        let known = self.source.comments.binary_search_by_key(&at, |range| range.start).is_ok();
        (alone && known).then(|| column(self.text, at))
    }

    /// Where a sibling at column `indent` goes after the last one, which ends at `end`: after the comments that still
    /// belong to it (indented deeper than what follows), before those that belong to what follows.
    fn after_last(&self, end: usize, indent: usize) -> usize {
        let text = self.text;
        let at = line_end(text, end);
        let mut after = at;
        let mut least = usize::MAX;
        while let Some(column) =
            self.comment_column(after).filter(|column| *column >= indent.max(1))
        {
            least = least.min(column);
            after = line_end(text, after);
        }
        let following = text[after..].lines().find(|line| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        let column = following.map_or(0, |line| line.len() - line.trim_start().len());
        if least != usize::MAX && least > column { after } else { at }
    }

    /// Replaces whole lines; `None` removes them. Keeps a missing line break at the end of the text missing.
    fn lines(&self, from: usize, to: usize, body: Option<&str>) -> Option<Splice> {
        let Some(body) = body else { return (from < to).then(|| splice(from, to, "")) };
        let open = |at: usize| at == self.text.len() && !self.text.ends_with('\n') && at > 0;
        let before = if open(from) { "\n" } else { "" };
        let after = if open(to) { "" } else { "\n" };
        Some(splice(from, to, &format!("{before}{body}{after}")))
    }
}

fn splice(from: usize, to: usize, text: &str) -> Splice {
    Splice { range: from..to, text: text.to_owned() }
}
