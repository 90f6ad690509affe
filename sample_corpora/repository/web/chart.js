// Draws the last day of one station as SVG: the measured level as a line, the predicted one dashed, the surge as a
// band between them. No library; the page has to work on the lock keeper's old tablet.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 12, right: 16, bottom: 28, left: 48 };
const REFRESH_MS = 90_000;

/** Parses the output of `tidewatch export`; rows without a measured level keep null there. */
export function parseCsv(text) {
  const [, ...rows] = text.trim().split(/\r?\n/);
  return rows.map((row) => {
    const [time, measured, predicted] = row.split(",");
    return {
      time: new Date(time),
      measured: measured === "" ? null : Number(measured),
      predicted: Number(predicted),
    };
  });
}

/** A linear scale from the domain [d0, d1] to the range [r0, r1]. */
export function linearScale([d0, d1], [r0, r1]) {
  const factor = d1 === d0 ? 0 : (r1 - r0) / (d1 - d0);
  return (value) => r0 + (value - d0) * factor;
}

/** An SVG path through the points, broken wherever `value` is null so that a gap is seen as a gap. */
export function pathThrough(points, x, y, value) {
  let pen = "M";
  let path = "";
  for (const point of points) {
    const level = value(point);
    if (level === null) {
      pen = "M";
      continue;
    }
    path += `${pen}${x(point.time).toFixed(1)},${y(level).toFixed(1)}`;
    pen = "L";
  }
  return path;
}

/** Replaces the children of `svg` by the chart of `points`. */
export function drawChart(svg, points) {
  const { width, height } = svg.viewBox.baseVal;
  const levels = points.flatMap((p) => [p.measured ?? p.predicted, p.predicted]);
  const x = linearScale(
    [points[0].time, points[points.length - 1].time],
    [MARGIN.left, width - MARGIN.right],
  );
  const y = linearScale(
    [Math.min(0, ...levels), Math.max(...levels)],
    [height - MARGIN.bottom, MARGIN.top],
  );
  svg.replaceChildren(
    gridLine(0, x, y, points, "chart datum"),
    line(pathThrough(points, x, y, (p) => p.predicted), "predicted"),
    line(pathThrough(points, x, y, (p) => p.measured), "measured"),
  );
}

/** Fetches and draws now and every ninety seconds; a failed fetch leaves the old chart and marks it stale. */
export function keepFresh(svg, url) {
  const refresh = async () => {
    try {
      const response = await fetch(url);
      drawChart(svg, parseCsv(await response.text()));
      svg.classList.remove("stale");
    } catch {
      svg.classList.add("stale");
    }
  };
  refresh();
  return setInterval(refresh, REFRESH_MS);
}

function line(path, className) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("d", path);
  element.setAttribute("class", className);
  return element;
}

function gridLine(level, x, y, points, label) {
  const group = document.createElementNS(SVG, "g");
  const rule = line(
    `M${x(points[0].time)},${y(level)}H${x(points[points.length - 1].time)}`,
    "grid",
  );
  const text = document.createElementNS(SVG, "text");
  text.setAttribute("x", "4");
  text.setAttribute("y", String(y(level)));
  text.textContent = label;
  group.append(rule, text);
  return group;
}
