import { createRoot } from 'react-dom/client';
import { applyBrowserTheme } from '../theme/browser-theme.ts';
import '../theme/browser.css';
import './app.css';
import '../stream/stream.css';
import '../tabs/tabs.css';
import '../ui/ui.css';
import { registerToolkit } from '../ui/toolkit.ts';
import { App } from './App.tsx';
import { findHost } from './host.ts';

// The toolkit reads the theme's colours when it is registered and at window load, so they come first.
if (typeof acquireVsCodeApi !== 'function') applyBrowserTheme();
registerToolkit();

const root = document.getElementById('root') ?? document.body.appendChild(document.createElement('div'));
root.id = 'root';
createRoot(root).render(<App host={findHost()} />);
