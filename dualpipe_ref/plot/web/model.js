// The columns of viewer_data as ops that can be asked for, and where they lie in time.

const NOT_THERE = -1;

/** The shown timeline: `op(rank, index)`, `find(rank, time)`, `dependents(op)`, times and sizes. */
export function readTimeline(data) {
  const { times, exact, kinds, homes, microbatches, offset } = data;
  const text = (place) => exact[place] ?? String(times[place]);
  const stopped = new Map(data.stopped);
  const rows = data.ops.map((columns, rank) => readRow(columns, times, stopped.get(rank)));
  const needs = data.ops.map((columns) => groupBy(columns.needs, (need) => need[0]));
  let waiting = null;

  const chunk = (rank, number) => {
    if (number === NOT_THERE) return null;
    const slot = Math.floor(number / microbatches);
    const [direction, stage] = homes[rank][slot];
    const microbatch = number % microbatches;
    return { slot, microbatch, direction, stage, drawn: microbatch + direction * offset };
  };

  function op(rank, index) {
    const columns = data.ops[rank];
    if (!columns || !(index >= 0 && index < columns.kinds.length)) return null;
    const ran = index < columns.starts.length;
    return {
      rank,
      index,
      ran,
      kind: kinds[columns.kinds[index]],
      forward: chunk(rank, columns.forward[index]),
      backward: chunk(rank, columns.backward[index]),
      count: columns.kinds.length,
      step: Number(columns.steps[index] || 0),
      start: rows[rank].starts[index],
      end: rows[rank].ends[index],
      startText: ran ? text(columns.starts[index]) : "",
      endText: ran ? text(columns.ends[index]) : "",
      waits: waitsOf(rank, index),
    };
  }

  /** The op before it on its rank, and the ops whose messages it needs. */
  function waitsOf(rank, index) {
    const columns = data.ops[rank];
    const own = index > 0 ? [{ rank, index: index - 1, own: true, at: columns.ends[index - 1] }] : [];
    const messages = (needs[rank].get(index) || []).map(([, source, there, at]) => ({
      rank: source,
      index: there,
      own: false,
      at,
    }));
    const start = columns.starts[index];
    return latest([...own, ...messages]).map((wait) => ({
      ...wait,
      atText: wait.at >= 0 ? text(wait.at) : "",
      decides: start !== undefined && wait.at === start,
      delayed: !wait.own && wait.at >= 0 && data.ops[wait.rank]?.ends[wait.index] !== wait.at,
    }));
  }

  /** The ops that wait for this one: the next on its rank, and those that need its messages. */
  function dependents({ rank, index }) {
    if (!waiting) {
      waiting = new Map();
      data.ops.forEach((columns, reader) => {
        for (const [at, source, there] of columns.needs) {
          const key = `${source} ${there}`;
          if (!waiting.has(key)) waiting.set(key, []);
          waiting.get(key).push({ rank: reader, index: at, own: false });
        }
      });
    }
    const next = index + 1 < data.ops[rank].kinds.length ? [{ rank, index: index + 1, own: true }] : [];
    return latest([...next, ...(waiting.get(`${rank} ${index}`) || [])]);
  }

  const makespan = times[data.makespan];
  const end = Math.max(makespan, ...rows.map((row) => row.ends.at(-1) ?? 0)) || 1;
  return { data, rows, op, dependents, find: (rank, time) => find(rows[rank], time), makespan, end };
}

/** Starts and ends of the drawn ops; a stopped rank's next op stands where the rank stopped. */
function readRow(columns, times, next) {
  const starts = columns.starts.map((place) => times[place]);
  const ends = columns.ends.map((place) => times[place]);
  const ran = starts.length;
  if (next !== undefined) {
    starts.push(ends.at(-1) ?? 0);
    ends.push(starts.at(-1) + next);
  }
  return { starts, ends, ran };
}

/** The last drawn op that starts at or before `time`, or the first one. */
function find(row, time) {
  let low = 0;
  let high = row.starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (row.starts[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** Each op once: a pair can need both messages of another pair, and waits for the later one. */
function latest(waits) {
  const kept = new Map();
  for (const wait of waits) {
    const key = wait.index === NOT_THERE ? kept.size : `${wait.rank} ${wait.index}`;
    const known = kept.get(key);
    const never = wait.at === undefined || wait.at === NOT_THERE;
    if (!known || never || (known.at >= 0 && wait.at > known.at)) kept.set(key, wait);
  }
  return [...kept.values()];
}

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    if (!groups.has(key(item))) groups.set(key(item), []);
    groups.get(key(item)).push(item);
  }
  return groups;
}
