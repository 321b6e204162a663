import { readdir, readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, relative, sep } from 'node:path';

/** Serves the inspector's page: the files of one folder, with headers that let it do nothing but its work. */

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.ttf': 'font/ttf',
  '.wasm': 'application/wasm',
};

const NOT_BUILT = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Syncscope</title>
<h1>The inspector's page is not here</h1>
<p>This session can be inspected, but it was started without the page. Run <code>npm run build</code> and start it
again, or attach from VS Code or the command line.</p></html>
`;

/** Nothing may load but what this server serves, and nothing may frame it. */
export function contentSecurityPolicy(host: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self' blob:",
    `connect-src 'self' ws://${host}`,
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** Headers of every answer. `host` is the checked `Host` of the request. */
export function safeHeaders(host: string): Readonly<Record<string, string>> {
  return {
    'Content-Security-Policy': contentSecurityPolicy(host),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cache-Control': 'no-store',
  };
}

export type PageServer = (request: IncomingMessage, response: ServerResponse, path: string) => Promise<void>;

/**
 * Serves what lies in `folder`, `index.html` at `/`. Only paths that a listing of the folder gave are ever
 * opened, so no spelling of a path leads out of it. Without a folder, `/` says how to get the page.
 */
export function pageServer(folder: string | undefined): PageServer {
  let files = new Map<string, string>();
  return async (request, response, path) => {
    const wanted = path === '/' ? '/index.html' : path;
    if (folder !== undefined && !files.has(wanted)) files = await listing(folder);
    const file = files.get(wanted);
    if (file === undefined) {
      const isIndex = wanted === '/index.html';
      response.writeHead(isIndex ? 200 : 404, {
        'Content-Type': isIndex ? CONTENT_TYPES['.html'] : 'text/plain; charset=utf-8',
      });
      response.end(isIndex ? NOT_BUILT : 'There is nothing at this path.\n');
      return;
    }
    const body = await readFile(file);
    response.writeHead(200, {
      'Content-Type': CONTENT_TYPES[extname(file)] ?? 'application/octet-stream',
      'Content-Length': body.length,
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  };
}

async function listing(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    files.set(`/${relative(folder, file).replaceAll(sep, '/')}`, file);
  }
  return files;
}
