// What a script can add to a page that is whole without it: tooltips, sorting, filters, the theme.
'use strict';
(() => {
  const words = JSON.parse(document.getElementById('words').textContent);
  const all = (selector, root) => [...(root || document).querySelectorAll(selector)];
  const made = (tag, text, more) => Object.assign(document.createElement(tag), { textContent: text }, more);
  const stored = (value) => {
    // some browsers keep nothing for a page from a file
    try { return value === undefined ? localStorage.getItem('theme') : localStorage.setItem('theme', value); } catch { return null; }
  };

  // the theme, and the data of the page as a file
  const root = document.documentElement, tools = document.querySelector('.tools');
  const dark = () => root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  const theme = made('button', '', { type: 'button', className: 'theme' });
  const named = () => { theme.textContent = dark() ? words.light : words.dark; };
  if (['light', 'dark'].includes(stored())) root.dataset.theme = stored();
  theme.onclick = () => { root.dataset.theme = dark() ? 'light' : 'dark'; stored(root.dataset.theme); named(); };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', named);
  named();
  tools.append(theme);
  const data = document.getElementById('run');
  if (data) {
    const save = made('button', words.save, { type: 'button' });
    save.onclick = () => {
      const url = URL.createObjectURL(new Blob([data.textContent], { type: 'application/json' }));
      made('a', '', { href: url, download: 'run.json' }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    };
    tools.append(save);
  }

  // tooltips: the title of a mark, at once and beside the pointer
  const tip = made('div', '', { id: 'tip', hidden: true });
  tip.setAttribute('aria-hidden', 'true');
  document.body.append(tip);
  document.addEventListener('pointermove', (event) => {
    let mark = event.target, title = '';
    for (; mark && !title && mark.tagName !== 'svg' && mark.tagName !== 'MAIN'; mark = mark.parentElement) {
      const own = mark.ownerSVGElement ? mark.querySelector(':scope > title') : null;
      title = own ? own.textContent : mark.tagName === 'MARK' ? mark.title : '';
    }
    tip.hidden = !title;
    if (!title) return;
    tip.textContent = title;
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
    tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + 'px';
  });
  document.addEventListener('pointerleave', () => { tip.hidden = true; });

  // a drawing is shown as large as the window when it is clicked; Escape or a click closes it
  const large = document.body.appendChild(document.createElement('dialog'));
  large.onclick = () => large.close();
  document.querySelector('main').addEventListener('click', (event) => {
    const drawing = event.target.closest('figure svg, .pixels');
    if (!drawing || event.target.closest('a, button, summary')) return;
    const copy = drawing.cloneNode(true);
    const [w, h] = drawing.matches('svg') ? [drawing.viewBox.baseVal.width, drawing.viewBox.baseVal.height] : [drawing.width, drawing.height];
    const times = Math.min(0.92 * innerWidth / w, 0.85 * innerHeight / h);
    copy.setAttribute('style', `width:${w * times}px;height:${h * times}px;max-width:none;min-width:0`);
    large.setAttribute('aria-label', drawing.getAttribute('aria-label') || drawing.alt || '');
    large.replaceChildren(copy);
    large.showModal();
  });

  // tables that can be sorted: a button in each head
  const value = (row, i) => {
    const cell = row.cells[i], raw = cell ? cell.dataset.v : undefined;
    return raw === undefined || raw === '' ? (cell ? cell.textContent.trim() : '') : Number(raw);
  };
  for (const table of all('table.sort')) {
    const heads = all('thead th', table), body = table.tBodies[0];
    heads.forEach((head, i) => {
      const button = made('button', head.textContent.trim(), { type: 'button' });
      head.replaceChildren(button);
      button.onclick = () => {
        const up = head.getAttribute('aria-sort') !== 'ascending';
        heads.forEach((other) => other.removeAttribute('aria-sort'));
        head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
        const rows = [...body.rows].sort((a, b) => {
          const x = value(a, i), y = value(b, i);
          // what was not measured stays last, whichever way
          if (typeof x !== typeof y) return typeof x === 'number' ? -1 : 1;
          const order = typeof x === 'number' ? x - y : x.localeCompare(y, undefined, { numeric: true });
          return up ? order : -order;
        });
        body.append(...rows);
      };
    });
  }

  // decisions by class, by outcome, one of them
  for (const bar of all('.filters')) {
    const marked = all('[data-outcome]', bar.parentElement);
    const count = bar.querySelector('output'), picks = all('select', bar);
    const show = () => {
      const wanted = Object.fromEntries(picks.map((p) => [p.name, p.value]));
      let seen = 0;
      for (const one of marked) {
        const fits = (!wanted.class || one.dataset.class === wanted.class) &&
          (!wanted.outcome || one.dataset.outcome.split(' ').includes(wanted.outcome)) &&
          (!wanted.row || one.dataset.row === wanted.row);
        one.hidden = !fits;
        if (fits && one.matches('.card')) seen += 1;
      }
      count.textContent = words.shown.replace('{n}', seen).replace('{all}', marked.filter((m) => m.matches('.card')).length);
    };
    picks.forEach((p) => { p.onchange = show; });
    bar.hidden = false;
    show();
  }
  // a link to a decision that is filtered out shows it
  addEventListener('hashchange', () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.hidden) { target.hidden = false; target.scrollIntoView(); }
    const closed = target && target.closest('details:not([open])');
    if (closed) { closed.open = true; target.scrollIntoView(); }
  });
  // on paper everything that is folded away but the data is open
  addEventListener('beforeprint', () => all('details:not(.data)').forEach((d) => { d.open = true; }));
})();
