// What is said about an op, as text.

/** "Forward of micro-batch 3, direction 0, stage 2". */
export function opWords(model, op) {
  if (op.forward && op.backward) {
    return `Forward of ${chunkWords(model, op.forward)}, overlapped with the backward of ${chunkWords(model, op.backward)}`;
  }
  const label = op.kind.label[0].toUpperCase() + op.kind.label.slice(1);
  return `${label} of ${chunkWords(model, op.forward || op.backward)}`;
}

function chunkWords(model, chunk) {
  const moved = chunk.drawn !== chunk.microbatch ? ` (drawn as ${chunk.drawn})` : "";
  const direction = model.data.offset ? `, direction ${chunk.direction}` : "";
  return `micro-batch ${chunk.microbatch}${moved}${direction}, stage ${chunk.stage}`;
}

/** "rank 1, op 12 of 40, step 4 of 8". */
export function placeWords(op) {
  const step = op.step ? `, step ${op.step} of 8` : "";
  return `rank ${op.rank}, op ${op.index + 1} of ${op.count}${step}`;
}

/** "starts 5, ends 8", or why it does neither. */
export function timeWords(model, op) {
  if (!op.ran) {
    const stopped = op.index === model.rows[op.rank].ran;
    return stopped ? "never starts: its rank waits here" : "never starts: its rank stops before it";
  }
  const unit = model.data.unit ? ` ${model.data.unit}` : "";
  return `starts ${op.startText}, ends ${op.endText}${unit}`;
}

/** Short name of an op: "F3 on rank 1", with the numbers that the cells show. */
export function shortWords(model, { rank, index }) {
  const op = model.op(rank, index);
  if (!op) return `a message from rank ${rank} that no op makes`;
  const { forward, backward } = op;
  const { slots, offset } = model.data;
  const name = forward && backward ? `F${forward.drawn}+B${backward.drawn}` : op.kind.name + (forward || backward).drawn;
  // Where a rank has several stages and numbers do not tell them apart.
  const stages = [forward, backward].filter(Boolean).map((chunk) => chunk.stage);
  const stage = slots > 1 && !offset ? `, stage ${stages.join(" and ")},` : "";
  return `${name}${stage} on rank ${rank}`;
}

/** What is known of one wait: until when it lasted, and whether it was the last. */
export function waitWords(wait, other) {
  if (wait.at === undefined || wait.at < 0) return other && other.ran ? "message never sent" : "never ends";
  const when = wait.delayed ? `message arrives ${wait.atText}` : `ends ${wait.atText}`;
  return wait.decides ? `${when}, so it starts then` : when;
}
