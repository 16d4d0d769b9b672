//! axe-core, as far as it is installed: what it finds wrong with a page by WCAG 2.2 AA.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** The script that a page has to run first. */
export const AXE = (() => {
  try {
    return readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  } catch {
    return undefined;
  }
})();

const without = AXE ? false : 'axe-core is not installed: run scripts/test-parts.sh';
/** Why it cannot run, for `skip`; continuous integration must have it. */
export const noAxe = process.env.CI === 'true' ? false : without;

/** What is wrong with the page, each with the elements to blame. */
export async function violations(page) {
  const { violations } = await page.evaluate(() =>
    window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}
