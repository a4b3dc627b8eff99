/** What holds in every document at every time: links are told the same at both ends, and nothing leads nowhere. */
import { INPUT_SIDE, OUTPUT_SIDE, type Document, type GraphRecord } from "../types";

/** Everything that is wrong with a document, in words. */
export function brokenRules(document: Document): string[] {
  return Object.values(document.graphs).flatMap((graph) => inGraph(graph).map((rule) => `${graph.id}: ${rule}`));
}

function inGraph(graph: GraphRecord): string[] {
  const broken: string[] = [];
  const rule = (holds: boolean, text: string): void => {
    if (!holds) broken.push(text);
  };
  for (const [id, node] of Object.entries(graph.nodes)) {
    rule(node.id === id, `node ${id} calls itself ${node.id}`);
    node.inputs.forEach((slot, at) => {
      const link = slot.link === null ? null : graph.links[slot.link];
      rule(link === null || (link?.to === id && link.toSlot === at), `input ${id}.${at} names the link ${slot.link}`);
    });
    node.outputs.forEach((slot, at) => {
      rule(new Set(slot.links).size === slot.links.length, `output ${id}.${at} names a link twice`);
      for (const one of slot.links) {
        const link = graph.links[one];
        rule(link?.from === id && link.fromSlot === at, `output ${id}.${at} names the link ${one}`);
      }
    });
  }
  for (const [id, link] of Object.entries(graph.links)) {
    const output = link.from === INPUT_SIDE ? graph.subgraph?.inputs[link.fromSlot] : graph.nodes[link.from]?.outputs[link.fromSlot];
    rule(output?.links.includes(id) === true, `link ${id} is not told at its output ${link.from}.${link.fromSlot}`);
    const told =
      link.to === OUTPUT_SIDE
        ? graph.subgraph?.outputs[link.toSlot]?.links.includes(id)
        : graph.nodes[link.to]?.inputs[link.toSlot]?.link === id;
    rule(told === true, `link ${id} is not told at its input ${link.to}.${link.toSlot}`);
    rule(link.parent === null || link.parent in graph.reroutes, `link ${id} runs over no reroute ${link.parent}`);
  }
  for (const one of Object.values(graph.reroutes)) {
    rule(one.parent === null || one.parent in graph.reroutes, `reroute ${one.id} follows no reroute ${one.parent}`);
  }
  const listed = (order: readonly string[], records: object): boolean =>
    new Set(order).size === order.length &&
    Object.keys(records).every((id) => order.includes(id)) &&
    order.every((id) => id in records || id in graph.strays);
  rule(listed(graph.nodeOrder, graph.nodes), "the order of the nodes is not theirs");
  rule(listed(graph.linkOrder, graph.links), "the order of the links is not theirs");
  rule(listed(graph.rerouteOrder, graph.reroutes), "the order of the reroutes is not theirs");
  return broken;
}
